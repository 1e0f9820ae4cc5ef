/* http2/account.c  SPDX-License-Identifier: Apache-2.0 */
#include "http2/account.h"

static uint32_t cost(size_t frame_bytes)
{
    return frame_bytes < ACCOUNT_FRAME_BYTES ? (uint32_t)(ACCOUNT_FRAME_BYTES - frame_bytes) : 0;
}

void account_sent(struct account *account, uint32_t *stream_spent, size_t frame_bytes)
{
    account->spent += cost(frame_bytes);
    *stream_spent += cost(frame_bytes);
}

void account_give_back(struct account *account, uint32_t *stream_spent)
{
    account->spent -= *stream_spent;
    *stream_spent = 0;
}

bool account_is_tight(const struct account *account)
{
    return account->spent > ACCOUNT_TIGHT - ACCOUNT_FRAME_BYTES;
}

bool account_allows(const struct account *account, size_t frame_bytes)
{
    return account->spent + cost(frame_bytes) <= ACCOUNT_MAX;
}

bool account_has_last(const struct account *account)
{
    return account->spent + 2 * ACCOUNT_FRAME_BYTES <= ACCOUNT_LAST;
}
