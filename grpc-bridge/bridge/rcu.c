/* bridge/rcu.c  SPDX-License-Identifier: Apache-2.0 */
#include "bridge/rcu.h"

#ifdef __SANITIZE_THREAD__
pthread_rwlock_t rcu_rwlock = PTHREAD_RWLOCK_INITIALIZER;
#endif
