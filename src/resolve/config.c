/* resolve/config.c  SPDX-License-Identifier: Apache-2.0 */
#include "resolve/config.h"

#include "resolve/environment.h"
#include "resolve/json.h"

#include <string.h>
#include <unistd.h>

void loaded_clear(struct loaded *loaded)
{
    declarations_clear(&loaded->declarations);
    layer_clear(&loaded->defaults);
    layer_clear(&loaded->file);
    layer_clear(&loaded->environment);
    layer_clear(&loaded->fleet);
}

void config_clear(struct config *config)
{
    declarations_clear(&config->declarations);
    store_clear(&config->store);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool read_file(struct loaded *loaded, struct layer *layer, const char *path, bool declaring,
                      struct warnings *warnings, struct problem *problem)
{
    struct doc doc;
    if (!doc_load_file(&doc, path, warnings, problem))
        return false;
    bool ok = (!declaring || declarations_read(&loaded->declarations, &doc, problem)) &&
              layer_read(layer, &loaded->declarations, declaring, &doc, warnings, problem);
    doc_free(&doc);
    return ok;
}

static bool refuse_warnings(const struct warnings *warnings, struct problem *problem)
{
    const char *first = warnings->kept ? warnings->lines[0].text : "out of memory";
    if (warnings->total < 2)
        return problem_set(problem, "--strict: %s", first);
    return problem_set(problem, "--strict: %s (and %zu more)", first, warnings->total - 1);
}

bool loaded_read(struct loaded *loaded, const struct config_files *files, struct warnings *warnings,
                 struct problem *problem)
{
    *loaded = (struct loaded){0};
    warnings->strict = files->strict;
    bool ok = !files->defaults || read_file(loaded, &loaded->defaults, files->defaults, true, warnings, problem);
    /* Without defaults the main file declares, so what it says comes before all others. */
    ok = ok && (!files->config ||
                read_file(loaded, &loaded->file, files->config, !files->defaults, warnings, problem));
    ok = ok && environment_read(&loaded->environment, &loaded->declarations, files->env_prefix,
                                (const char *const *)environ, warnings, problem);
    ok = ok && (!files->fleet || read_file(loaded, &loaded->fleet, files->fleet, false, warnings, problem));
    if (ok && files->strict && warnings->total)
        ok = refuse_warnings(warnings, problem);
    if (!ok)
        loaded_clear(loaded);
    return ok;
}

/* ---- runtime changes --------------------------------------------------------------------------------------------- */

struct key {
    char text[CFGS_KEY_MAX_BYTES + 1];
    size_t length;
};

static bool take_key(struct key *key, const char *text, size_t length, struct problem *problem)
{
    if (!length || length > CFGS_KEY_MAX_BYTES)
        return problem_set(problem, "a key has 1 to %d bytes, not %zu", CFGS_KEY_MAX_BYTES, length);
    if (memchr(text, '\0', length))
        return problem_set(problem, "a key holds no NUL character, as the one behind '%.300s' is", text);
    key_canonical(key->text, text, length);
    key->text[length] = '\0';
    key->length = length;
    return true;
}

static const struct declaration *settable(const struct config *config, const struct key *key, struct problem *problem)
{
    const struct declaration *found = declarations_find(&config->declarations, key->text, key->length);
    if (found)
        return found;
    if (declarations_is_section(&config->declarations, key->text, key->length))
        problem_set(problem, "'%.300s' is a section, not a setting: set one of the settings below it", key->text);
    else
        problem_set(problem, "no setting '%.300s' is declared: only settings of the defaults file can be set", key->text);
    return NULL;
}

static const struct node *request_node(const struct set_request *request, enum setting_kind kind, struct node *text,
                                       struct pool_block **pool, struct problem *problem)
{
    if (request->form == VALUE_JSON)
        return json_to_node(pool, request->value, request->value_length, problem);
    *text = (struct node){.kind = NODE_STRING, .text = request->value, .length = request->value_length};
    if (request->form == VALUE_FILE && kind != SETTING_STRING && text->length && text->text[text->length - 1] == '\n')
        text->length--;
    return text;
}

/* Whether a typed value was not of the kind: a JSON list is none of strings, a number or text no duration. */
static bool was_converted(const struct set_request *request, enum setting_kind kind, enum convert_result result)
{
    return request->form == VALUE_JSON &&
           (result == CONVERT_CHANGED || kind == SETTING_STRING_LIST || kind == SETTING_DURATION);
}

static bool convert_request(struct set_request *request, enum setting_kind kind, const char *key, cfgs_copy **copy,
                            struct problem *problem)
{
    struct converter converter;
    struct pool_block *pool = NULL;
    struct node text;
    enum convert_result result = CONVERT_FAILED;
    if (!converter_init(&converter, problem))
        return false;
    converter.json_text = true;
    const struct node *node = request_node(request, kind, &text, &pool, problem);
    if (node)
        result = convert_node(&converter, node, kind, copy, NULL, problem);
    if (result == CONVERT_FAILED) {
        struct problem reason = *problem;
        problem_set(problem, "'%.300s': %s", key, reason.text);
    }
    if (result == CONVERT_IMPOSSIBLE)
        problem_set(problem, "'%.300s' is declared as %s, and this %s cannot be converted to that; such a value is written: %s",
                    key, setting_kind_name(kind), node_kind_name(node->kind), setting_kind_example(kind));
    request->converted = was_converted(request, kind, result);
    pool_free(&pool);
    converter_free(&converter);
    return result == CONVERT_SAME || result == CONVERT_CHANGED;
}

static bool is_source(int source, struct problem *problem)
{
    if (source > CFGS_SOURCE_NONE && source <= CFGS_SOURCE_COUNT)
        return true;
    return problem_set(problem, "there is no such source; the sources are default, unknown, infra-mode, file, "
                                "environment-variable, fleet-policies, config-post-init, secret, local-config-process, "
                                "agent-runtime, remote-config, cli");
}

/* Once for a key: what sets it by JSON may do so often. */
static void tell_conversion_once(struct config *config, const struct key *key, struct set_request *request)
{
    struct slot *slot = table_get(&config->store.slots, key->text, key->length);
    request->converted = request->converted && slot && !slot->conversion_told;
    if (request->converted)
        slot->conversion_told = true;
}

bool config_stage_set(struct config *config, struct set_request *request, struct problem *problem)
{
    struct key key;
    cfgs_copy *copy = NULL;
    if (!is_source(request->source, problem) || !take_key(&key, request->key, request->key_length, problem))
        return false;
    const struct declaration *declaration = settable(config, &key, problem);
    if (!declaration || !convert_request(request, declaration->kind, key.text, &copy, problem))
        return false;
    if (!store_stage(&config->store, key.text, key.length, request->source, copy))
        return problem_memory(problem);
    tell_conversion_once(config, &key, request);
    return true;
}

bool config_stage_unset(struct config *config, const char *key, size_t length, int source, struct problem *problem)
{
    struct key canonical;
    if (!is_source(source, problem) || !take_key(&canonical, key, length, problem))
        return false;
    return store_stage(&config->store, canonical.text, canonical.length, source, NULL) || problem_memory(problem);
}

static bool stage_survivor(struct config *config, const cfgs_setting *setting)
{
    cfgs_copy *copy;
    const struct slot *slot = store_find(&config->store, setting->key.data, setting->key.length);
    if (slot && slot->values[setting->source])
        return true;
    if (cfgs_value_copy(&setting->value, &copy) != CFGS_OK)
        return false;
    return store_stage(&config->store, setting->key.data, setting->key.length, setting->source, copy);
}

bool config_stage_survivors(struct config *config, cfgs_publisher *publisher, uint64_t *count, struct problem *problem)
{
    cfgs_view view;
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    *count = 0;
    int got = cfgs_publisher_view(publisher, &view);
    while (got >= 0 && (got = cfgs_view_next(&view, &iterator, "", 0, &setting)) == 1) {
        if (setting.source <= CFGS_SOURCE_FLEET_POLICIES || setting.source > CFGS_SOURCE_COUNT)
            continue;
        if (!stage_survivor(config, &setting)) {
            store_rollback(&config->store);
            return problem_memory(problem);
        }
        ++*count;
    }
    return got == 0 || problem_set(problem, "cannot read what the crashed producer left: %s", cfgs_strerror(got));
}

/* ---- publishing -------------------------------------------------------------------------------------------------- */

static void swap_declarations(struct config *config, struct loaded *loaded)
{
    struct declarations other = config->declarations;
    config->declarations = loaded->declarations;
    loaded->declarations = other;
}

bool config_stage_files(struct config *config, struct loaded *loaded, struct problem *problem)
{
    struct store *store = &config->store;
    swap_declarations(config, loaded);
    if (store_stage_layer(store, CFGS_SOURCE_DEFAULT, &loaded->defaults) &&
        store_stage_layer(store, CFGS_SOURCE_FILE, &loaded->file) &&
        store_stage_layer(store, CFGS_SOURCE_ENVIRONMENT_VARIABLE, &loaded->environment) &&
        store_stage_layer(store, CFGS_SOURCE_FLEET_POLICIES, &loaded->fleet) &&
        store_stage_flags(store, &config->declarations))
        return true;
    store_rollback(store);
    swap_declarations(config, loaded);
    return problem_memory(problem);
}

bool config_publish(struct config *config, cfgs_publisher *publisher, bool replace, uint64_t *changes,
                    struct problem *problem)
{
    return store_publish(&config->store, publisher, &config->declarations, replace, changes, problem);
}

bool config_reload(struct config *config, struct loaded *loaded, cfgs_publisher *publisher, uint64_t *changes,
                   struct problem *problem)
{
    bool ok = config_stage_files(config, loaded, problem);
    if (ok && !config_publish(config, publisher, false, changes, problem)) {
        swap_declarations(config, loaded);
        ok = false;
    }
    loaded_clear(loaded);
    return ok;
}

const cfgs_value *config_value(const struct config *config, const char *key)
{
    const struct slot *slot = store_find(&config->store, key, strlen(key));
    int winner = slot ? slot_winner(slot) : CFGS_SOURCE_NONE;
    return winner ? cfgs_copy_value(slot->values[winner]) : NULL;
}
