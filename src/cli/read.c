/* cli/read.c: get and list.  SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/held.h"
#include "cli/output.h"
#include "cli/session.h"
#include "resolve/declarations.h"

#include <stdio.h>
#include <string.h>

static void print_setting(const struct cli *cli, const cfgs_setting *setting)
{
    if (cli->json) {
        output_line(output_setting(setting, false));
        return;
    }
    if (!cli->show_source) {
        output_bare(&setting->value);
        return;
    }
    output_value(&setting->value, false);
    printf("  (%.*s)\n", (int)setting->source_name.length, setting->source_name.data);
}

static void print_section(const struct cli *cli, const char *key, const cfgs_value *value)
{
    if (!cli->json) {
        output_bare(value);
        return;
    }
    json_t *object = json_object();
    output_add(object, "key", output_text((cfgs_bytes){key, strlen(key)}));
    output_add(object, "value", output_json(value, false));
    output_add(object, "source", json_null()); /* a section has no source of its own */
    output_add(object, "sequence", json_null());
    output_line(object);
}

static int get(const struct cli *cli, cfgs_reader *reader, const char *key)
{
    struct held_list found = {0};
    int error = held_read(reader, key, &found);
    if (error == CFGS_OK)
        print_setting(cli, &found.items[0].setting);
    held_clear(&found);
    if (error != CFGS_ERR_NOT_FOUND)
        return error;
    cfgs_copy *section;
    error = cfgs_get_section(reader, key, &section);
    if (error == CFGS_OK) {
        print_section(cli, key, cfgs_copy_value(section));
        cfgs_copy_free(section);
    }
    return error;
}

enum exit_code command_get(struct cli *cli)
{
    char key[CFGS_KEY_MAX_BYTES + 1];
    cfgs_reader *reader;
    size_t length = strlen(cli->operands[0]);
    if (cli->all_sources)
        return command_all_sources(cli);
    if (!length || length > CFGS_KEY_MAX_BYTES) {
        cli_complain("get: a key has 1 to %d bytes", CFGS_KEY_MAX_BYTES);
        return EXIT_USAGE;
    }
    enum exit_code status = session_open(cli, &reader);
    if (status != EXIT_OK)
        return status;
    key_canonical(key, cli->operands[0], length + 1);
    int error = get(cli, reader, key);
    if (error == CFGS_ERR_NOT_FOUND) {
        cli_complain("no setting or section '%s'", key);
        status = EXIT_NOT_FOUND;
    } else if (error != CFGS_OK) {
        status = session_failed(reader, "get", error);
    }
    cfgs_reader_close(reader);
    return output_finish() ? status : EXIT_OTHER;
}

static void print_listed(const struct cli *cli, const cfgs_setting *setting)
{
    bool hidden = !cli->show_secrets && output_is_secret(setting);
    if (cli->json) {
        output_line(output_setting(setting, hidden));
        return;
    }
    output_key(setting->key);
    fputs(" = ", stdout);
    output_value(&setting->value, hidden);
    printf("  (%.*s)\n", (int)setting->source_name.length, setting->source_name.data);
}

enum exit_code command_list(struct cli *cli)
{
    cfgs_reader *reader;
    struct held_list all = {0};
    uint64_t sequence;
    enum exit_code status = session_open(cli, &reader);
    if (status != EXIT_OK)
        return status;
    int error = held_read_all(reader, cli->operand_count ? cli->operands[0] : "", &all, &sequence);
    if (error != CFGS_OK)
        status = session_failed(reader, "list", error);
    held_sort(&all);
    for (size_t i = 0; error == CFGS_OK && i < all.count; i++)
        print_listed(cli, &all.items[i].setting);
    held_clear(&all);
    cfgs_reader_close(reader);
    return output_finish() ? status : EXIT_OTHER;
}
