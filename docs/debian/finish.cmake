# Run by CPack when the packages' trees are staged: what Debian policy wants of each, besides what is installed.
# SPDX-License-Identifier: Apache-2.0
find_program(GZIP gzip REQUIRED)
find_program(STRIP strip REQUIRED)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(package ${CPACK_COMPONENTS_ALL})
  set(tree ${CPACK_TEMPORARY_DIRECTORY}/${package})
  set(doc ${tree}${CPACK_INSTALL_PREFIX}/share/doc/${package})
  file(MAKE_DIRECTORY ${doc})
  foreach(name copyright changelog)
    file(COPY_FILE ${CPACK_CONFIGSTREAM_DEBIAN_DIR}/${name} ${doc}/${name})
    file(CHMOD ${doc}/${name} PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  endforeach()
  file(GLOB_RECURSE pages ${tree}${CPACK_INSTALL_PREFIX}/share/man/*)
  run(${GZIP} -9nf ${doc}/changelog ${pages})
  file(GLOB_RECURSE archives ${tree}/*.a)
  if(archives)
    run(${STRIP} --strip-debug --enable-deterministic-archives ${archives})
  endif()
endforeach()
