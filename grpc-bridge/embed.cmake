# Bytes as a C array: cmake -DIN=FILE -DOUT=FILE.c -DNAME=IDENTIFIER -P embed.cmake  SPDX-License-Identifier: Apache-2.0
file(READ ${IN} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes
       "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_length;\n"
                  "const unsigned char ${NAME}[] = {\n${bytes}};\nconst size_t ${NAME}_length = sizeof ${NAME};\n")
