/* table.c: the hash map under layers and declarations.  SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static size_t name(char out[32], int number)
{
    return (size_t)snprintf(out, 32, "section.key_%d", number);
}

Test(table, an_empty_one_finds_nothing)
{
    struct table table = {0};
    size_t position = 0;
    cr_assert_null(table_get(&table, "a", 1));
    cr_assert_null(table_remove(&table, "a", 1));
    cr_assert_null(table_next(&table, &position));
    table_clear(&table, NULL);
}

Test(table, keeps_many_keys_in_order_of_insertion)
{
    struct table table = {0};
    static int values[20000];
    char key[32];
    for (int i = 0; i < 20000; i++) {
        size_t length = name(key, i);
        *table_put(&table, key, length) = &values[i];
    }
    size_t position = 0;
    for (int i = 0; i < 20000; i++)
        cr_assert_eq(table_next(&table, &position)->value, &values[i]);
    for (int i = 0; i < 20000; i++)
        cr_assert_eq(table_get(&table, key, name(key, i)), &values[i]);
    table_clear(&table, NULL);
}

Test(table, keys_are_bytes_of_a_length)
{
    struct table table = {0};
    int a, b;
    *table_put(&table, "ab", 1) = &a;
    *table_put(&table, "ab", 2) = &b;
    cr_assert_eq(table_get(&table, "a", 1), &a);
    cr_assert_eq(table_get(&table, "ab", 2), &b);
    cr_assert_eq(table.live, 2);
    table_clear(&table, NULL);
}

Test(table, removed_keys_may_come_back_and_room_is_reused)
{
    struct table table = {0};
    int value;
    char key[32];
    for (int round = 0; round < 1000; round++)
        for (int i = 0; i < 10; i++) {
            *table_put(&table, key, name(key, round * 10 + i)) = &value;
            cr_assert_eq(table_remove(&table, key, name(key, round * 10 + i)), &value);
            cr_assert_null(table_get(&table, key, name(key, round * 10 + i)));
        }
    cr_assert_eq(table.live, 0);
    cr_assert_leq(table.cells, 64);
    table_clear(&table, NULL);
}

Test(table, entries_can_be_removed_while_iterating)
{
    struct table table = {0};
    int value, seen = 0;
    char key[32];
    for (int i = 0; i < 100; i++)
        *table_put(&table, key, name(key, i)) = &value;
    size_t position = 0;
    for (struct table_entry *entry; (entry = table_next(&table, &position)); seen++)
        table_remove(&table, entry->key, entry->length);
    cr_assert_eq(seen, 100);
    cr_assert_eq(table.live, 0);
    table_clear(&table, NULL);
}
