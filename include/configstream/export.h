/* Symbol visibility and compiler help for the public headers.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIGSTREAM_EXPORT_H
#define CONFIGSTREAM_EXPORT_H

#if defined(__GNUC__)
#define CFGS_API __attribute__((visibility("default")))
#define CFGS_NODISCARD __attribute__((warn_unused_result))
#else
#define CFGS_API
#define CFGS_NODISCARD
#endif

#ifdef __cplusplus
#define CFGS_BEGIN_DECLS extern "C" {
#define CFGS_END_DECLS }
#else
#define CFGS_BEGIN_DECLS
#define CFGS_END_DECLS
#endif

#endif
