/* base/list.h: a doubly linked list within its members; all operations take constant time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/** A list's head, and a member's link.  A link that is in no list points to itself. */
struct list {
    struct list *next, *previous;
};

#define LIST_MEMBER(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void list_init(struct list *link) { link->next = link->previous = link; }
static inline bool list_empty(const struct list *link) { return link->next == link; }

/** Out of whatever list it is in; harmless in none. */
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/** At the end of the list; out of the one it was in. */
static inline void list_append(struct list *head, struct list *link)
{
    list_remove(link);
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

#endif
