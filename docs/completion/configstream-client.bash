# Completion of configstream-client for bash 4.4 and later; install as configstream-client in bash-completion's
# completions directory, or source it.  Needs no other package.  The options are those that --help names.
# SPDX-License-Identifier: Apache-2.0

_configstream_client_options() {
    "$1" --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u
}

_configstream_client() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if [[ $current == = ]]; then
        current=''
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    case $before in
        --agent-cert-file | --agent-auth-token-file | --ca | --key)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        --log-level)
            mapfile -t COMPREPLY < <(compgen -W 'trace debug info warn error critical off' -- "$current")
            ;;
        *)
            [[ $current != -* ]] && return
            mapfile -t COMPREPLY < <(compgen -W "$(_configstream_client_options "$1")" -- "$current")
            ;;
    esac
}

complete -F _configstream_client configstream-client
