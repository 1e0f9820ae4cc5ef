# Completion of configstream for bash 4.4 and later; install as configstream in bash-completion's completions directory,
# or source it.  Needs no other package.
# SPDX-License-Identifier: Apache-2.0

_configstream_global='--instance --arena-path --producer-user --control --json --color --log-level --help --version'

_configstream_options() {
    case $1 in
        get) echo --source --all-sources --live --show-secrets ;;
        list) echo --keys --live --show-secrets ;;
        set) echo --value-json --file --source ;;
        unset) echo --source ;;
        watch) echo --prefix --count --timeout --live ;;
        wait) echo --timeout ;;
        status) echo --bridge ;;
        client) "$program" client --help 2>/dev/null | grep -o -- '--[a-z][a-z-]*' | sort -u ;;
    esac
}

# Whether an option's value is the next word.  --source is a switch of get, and takes a value everywhere else.
_configstream_takes_value() {
    case $1 in
        --instance | --arena-path | --producer-user | --control | --color | --log-level) ;;
        --value-json | --file | --prefix | --count | --timeout | --bridge) ;;
        --source) [[ $2 != get ]] ;;
        --ipc-address | --agent-cert-file | --auth-token | --agent-auth-token-file | --ca | --key) [[ $2 == client ]] ;;
        --server-name | --name | --duration | --max-samples) [[ $2 == client ]] ;;
        *) return 1 ;;
    esac
}

# Only words that mean nothing to the shell are offered, and that it does not break: a key is chosen by whoever writes the
# configuration.
_configstream_offer() {
    local word
    for word in "${@:2}"; do
        [[ $word == "$1"* && $word =~ ^[A-Za-z0-9_./%+,-]+$ ]] && COMPREPLY+=("$word")
    done
}

_configstream_keys() {
    local keys
    mapfile -t keys < <("$program" "${where[@]}" --log-level off --color never list --keys -- "$1" 2>/dev/null)
    _configstream_offer "$1" "${keys[@]}"
}

_configstream_instances() {
    local names name
    names=(/dev/shm/configstream.*)
    names=("${names[@]#/dev/shm/configstream.}")
    for name in "${names[@]}"; do
        [[ $name =~ ^[A-Za-z0-9_-]{1,64}$ ]] && _configstream_offer "$1" "$name"
    done
}

_configstream_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_configstream_value() {
    case $1 in
        --instance) _configstream_instances "$2" ;;
        --arena-path | --control | --file | --bridge) _configstream_files "$2" ;;
        --agent-cert-file | --agent-auth-token-file | --ca | --key) _configstream_files "$2" ;;
        --producer-user) mapfile -t COMPREPLY < <(compgen -u -- "$2") ;;
        --color) _configstream_offer "$2" auto always never ;;
        --log-level) _configstream_offer "$2" trace debug info warn error critical off ;;
        --prefix) _configstream_keys "$2" ;;
        --source) _configstream_offer "$2" default unknown infra-mode file environment-variable fleet-policies \
            config-post-init secret local-config-process agent-runtime remote-config cli ;;
    esac
}

_configstream_operand() {
    local commands='get list set unset watch wait status reload destroy client help'
    case $command:$operands in
        :*) _configstream_offer "$1" $commands ;;
        get:0 | list:0 | set:0 | unset:0) _configstream_keys "$1" ;;
        help:0) _configstream_offer "$1" $commands ;;
    esac
}

_configstream() {
    local program=${1/#\~/$HOME} command='' operands=0 ended='' option='' where=() words=() word i
    COMPREPLY=()

    # "--source=cli" comes as three words, because '=' breaks words: one again.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = && ${#words[@]} -gt 0 && ${words[-1]} == --* ]]; then
            words[-1]+='='
        elif [[ ${#words[@]} -gt 0 && ${words[-1]} == --*= && ${COMP_WORDS[i - 1]} == = ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    local current=${words[-1]}
    unset 'words[-1]'

    for word in "${words[@]}"; do
        if [[ $option ]]; then
            [[ $option == --instance || $option == --arena-path || $option == --producer-user ]] && where+=("$option=$word")
            option=''
        elif [[ ! $ended && $word == -- ]]; then
            ended=yes
        elif [[ ! $ended && $word == --*=* ]]; then
            [[ $word == --instance=* || $word == --arena-path=* || $word == --producer-user=* ]] && where+=("$word")
        elif [[ ! $ended && $word == --* ]]; then
            _configstream_takes_value "$word" "$command" && option=$word
        elif [[ ! $command ]]; then
            command=$word
        else
            operands=$((operands + 1))
        fi
    done

    if [[ $option ]]; then
        _configstream_value "$option" "$current"
    elif [[ ! $ended && $current == --*=* ]]; then
        _configstream_value "${current%%=*}" "${current#*=}"
    elif [[ ! $ended && $current == -* ]]; then
        [[ $command != client ]] && _configstream_offer "$current" $_configstream_global
        _configstream_offer "$current" $(_configstream_options "$command")
    else
        _configstream_operand "$current"
    fi
}

complete -F _configstream configstream
