/* cli/read.c: get and list.  SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"
#include "cli/held.h"
#include "cli/output.h"
#include "cli/say.h"
#include "cli/session.h"
#include "resolve/declarations.h"

#include <stdio.h>
#include <string.h>

/* ---- get --------------------------------------------------------------------------------------------------------- */

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
    output_source("  (", setting->source_name, ")\n");
}

static bool starts_with(cfgs_bytes key, cfgs_bytes prefix)
{
    return key.length >= prefix.length && memcmp(key.data, prefix.data, prefix.length) == 0;
}

/* Whether a later key goes on below this one: as in cfgs_get_section(), its own value is then no part of the map. */
static bool is_shadowed(const struct held_list *all, size_t i)
{
    const cfgs_bytes key = all->items[i].setting.key;
    for (size_t next = i + 1; next < all->count && starts_with(all->items[next].setting.key, key); next++)
        if (all->items[next].setting.key.data[key.length] == '.')
            return true;
    return false;
}

/* The map a key's last name stands in, made on the way; *key becomes that name. */
static json_t *descend(json_t *map, cfgs_bytes *key)
{
    const char *dot;
    while ((dot = memchr(key->data, '.', key->length))) {
        const size_t length = (size_t)(dot - key->data);
        json_t *below = json_object_getn(map, key->data, length);
        if (!below) {
            below = json_object();
            output_addn(map, (cfgs_bytes){key->data, length}, below);
        }
        map = below;
        *key = (cfgs_bytes){dot + 1, key->length - length - 1};
    }
    return map;
}

/* Nobody named the secrets in a section: they are masked as in a list. */
static json_t *section_map(const struct cli *cli, const struct held_list *all, size_t skip, bool *masked)
{
    json_t *map = json_object();
    *masked = false;
    for (size_t i = 0; i < all->count; i++) {
        const cfgs_setting *setting = &all->items[i].setting;
        const bool hidden = !cli->show_secrets && output_is_secret(setting);
        if (is_shadowed(all, i))
            continue;
        cfgs_bytes name = {setting->key.data + skip, setting->key.length - skip};
        json_t *parent = descend(map, &name);
        output_addn(parent, name, output_json(&setting->value, hidden));
        *masked = *masked || hidden;
    }
    return map;
}

static void print_section(const struct cli *cli, const char *key, const struct held_list *all)
{
    bool masked;
    json_t *map = section_map(cli, all, strlen(key) + 1, &masked);
    if (!cli->json) {
        output_value_json(map);
        putchar('\n');
        return;
    }
    json_t *object = json_object();
    output_add(object, "key", output_text(output_bytes(key)));
    output_add(object, "value", map);
    output_add(object, "source", json_null()); /* a section has no source of its own */
    output_add(object, "sequence", json_null());
    if (masked)
        output_add(object, "masked", json_true());
    output_line(object);
}

static int get_section(const struct cli *cli, cfgs_reader *reader, const char *key)
{
    char prefix[CFGS_KEY_MAX_BYTES + 2];
    struct held_list all = {0};
    uint64_t sequence;
    snprintf(prefix, sizeof prefix, "%s.", key);
    int error = held_read_all(reader, prefix, &all, &sequence);
    held_sort(&all);
    if (error == CFGS_OK && !all.count)
        error = CFGS_ERR_NOT_FOUND;
    if (error == CFGS_OK)
        print_section(cli, key, &all);
    held_clear(&all);
    return error;
}

static int get(const struct cli *cli, cfgs_reader *reader, const char *key)
{
    struct held_list found = {0};
    int error = held_read(reader, key, &found);
    if (error == CFGS_OK)
        print_setting(cli, &found.items[0].setting);
    held_clear(&found);
    return error == CFGS_ERR_NOT_FOUND ? get_section(cli, reader, key) : error;
}

enum exit_code command_get(struct cli *cli)
{
    char key[CFGS_KEY_MAX_BYTES + 1];
    cfgs_reader *reader;
    size_t length = strlen(cli->operands[0]);
    if (cli->all_sources)
        return command_all_sources(cli);
    if (!length || length > CFGS_KEY_MAX_BYTES) {
        cli_complain("get: a key has 1 to %d bytes, this one %zu", CFGS_KEY_MAX_BYTES, length);
        return EXIT_USAGE;
    }
    enum exit_code status = session_open(cli, &reader);
    if (status != EXIT_OK)
        return status;
    key_canonical(key, cli->operands[0], length + 1);
    int error = get(cli, reader, key);
    if (error == CFGS_ERR_NOT_FOUND) {
        cli_complain("no setting or section '%s'; configstream list names those there are", key);
        status = EXIT_NOT_FOUND;
    } else if (error != CFGS_OK) {
        status = session_failed(reader, "get", error);
    }
    cfgs_reader_close(reader);
    return output_finish() ? status : EXIT_OTHER;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static void print_listed(const struct cli *cli, const cfgs_setting *setting)
{
    output_listed(setting, cli->json, !cli->show_secrets && output_is_secret(setting));
}

static void print_key(const struct cli *cli, const cfgs_setting *setting)
{
    if (cli->json) {
        json_t *object = json_object();
        output_add(object, "key", output_text(setting->key));
        output_line(object);
        return;
    }
    output_key(setting->key);
    putchar('\n');
}

enum exit_code command_list(struct cli *cli)
{
    cfgs_reader *reader;
    struct held_list all = {0};
    char prefix[CFGS_KEY_MAX_BYTES + 1];
    uint64_t sequence;
    if (!session_prefix(cli, cli->operand_count ? cli->operands[0] : "", prefix))
        return EXIT_USAGE;
    enum exit_code status = session_open(cli, &reader);
    if (status != EXIT_OK)
        return status;
    int error = held_read_all(reader, prefix, &all, &sequence);
    if (error != CFGS_OK)
        status = session_failed(reader, "list", error);
    held_sort(&all);
    for (size_t i = 0; error == CFGS_OK && i < all.count; i++)
        (cli->only_keys ? print_key : print_listed)(cli, &all.items[i].setting);
    held_clear(&all);
    cfgs_reader_close(reader);
    return output_finish() ? status : EXIT_OTHER;
}
