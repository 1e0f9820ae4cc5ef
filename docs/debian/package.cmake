# The Debian packages: cmake --preset package && cmake --build --preset package && cpack --preset package
# SPDX-License-Identifier: Apache-2.0
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME configstream)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "configstream maintainers <maintainers@configstream.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${CMAKE_PROJECT_NAME} built using CMake") # not put before the packages' own
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # /etc is not below the prefix
set(CPACK_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/finish.cmake)
set(CPACK_CONFIGSTREAM_DEBIAN_DIR ${CMAKE_CURRENT_LIST_DIR}) # for that script

# A component is a package of the same name.
set(CPACK_COMPONENTS_ALL libconfigstream0 libconfigstream-dev configstream)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/shm ${PROJECT_BINARY_DIR}/grpc-bridge)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# Until 1.0 a minor version may change the ABI under the same soname.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY "=")

set(CPACK_DEBIAN_LIBCONFIGSTREAM0_PACKAGE_NAME libconfigstream0)
set(CPACK_DEBIAN_LIBCONFIGSTREAM0_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBCONFIGSTREAM0_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/triggers)
set(CPACK_COMPONENT_LIBCONFIGSTREAM0_DESCRIPTION
"configuration from shared memory (library)
One process of a host resolves configuration and publishes it in shared
memory. This library reads it from there, at one point in time or as an
ordered stream of changes, without system calls or locks; it is also what
publishes.")

set(CPACK_DEBIAN_LIBCONFIGSTREAM-DEV_PACKAGE_NAME libconfigstream-dev)
set(CPACK_DEBIAN_LIBCONFIGSTREAM-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBCONFIGSTREAM-DEV_PACKAGE_DEPENDS "libconfigstream0 (= ${PROJECT_VERSION})")
if(TARGET configstream_remote) # its headers, static library and pkg-config file are in there, too
  string(APPEND CPACK_DEBIAN_LIBCONFIGSTREAM-DEV_PACKAGE_DEPENDS
         ", libconfigstream-remote0 (= ${PROJECT_VERSION}), libnghttp2-dev, libprotobuf-c-dev, libssl-dev")
endif()
set(CPACK_DEBIAN_LIBCONFIGSTREAM-DEV_PACKAGE_SHLIBDEPS OFF)
set(CPACK_COMPONENT_LIBCONFIGSTREAM-DEV_DESCRIPTION
"configuration from shared memory (development files)
Headers, static libraries, pkg-config files, CMake package and manual pages of
libconfigstream, which reads the configuration that configstreamd publishes,
and of libconfigstream-remote, which reads that of another host.")

set(CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_NAME configstream)
set(CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_DEPENDS "libconfigstream0 (= ${PROJECT_VERSION}), adduser")
set(CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_CONTROL_EXTRA conffiles postinst prerm postrm)
list(TRANSFORM CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_CONTROL_EXTRA PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
set(CPACK_COMPONENT_CONFIGSTREAM_DESCRIPTION
"configuration from shared memory (daemon and command line)
The daemon configstreamd resolves defaults, files, environment and changes at
run time into one view, and publishes it to every process of the host. The
command configstream reads, watches and changes it.")

if(TARGET configstream-bridge)
  list(APPEND CPACK_COMPONENTS_ALL configstream-bridge)
endif()
set(CPACK_DEBIAN_CONFIGSTREAM-BRIDGE_PACKAGE_NAME configstream-bridge)
set(CPACK_DEBIAN_CONFIGSTREAM-BRIDGE_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_CONFIGSTREAM-BRIDGE_PACKAGE_DEPENDS
    "configstream (= ${PROJECT_VERSION}), libconfigstream0 (= ${PROJECT_VERSION}), adduser")
set(CPACK_DEBIAN_CONFIGSTREAM-BRIDGE_PACKAGE_CONTROL_EXTRA postinst prerm postrm)
list(TRANSFORM CPACK_DEBIAN_CONFIGSTREAM-BRIDGE_PACKAGE_CONTROL_EXTRA PREPEND ${CMAKE_CURRENT_LIST_DIR}/bridge/)
set(CPACK_COMPONENT_CONFIGSTREAM-BRIDGE_DESCRIPTION
"configuration from shared memory (gRPC bridge)
The daemon configstream-bridge serves the configuration that configstreamd
publishes on this host to remote agents, which register and then get a
snapshot and every change, over gRPC with mutual TLS.")

# What consumes a bridge's stream: the library, and the programs.
if(TARGET configstream_remote)
  list(APPEND CPACK_COMPONENTS_ALL libconfigstream-remote0)
endif()
set(CPACK_DEBIAN_LIBCONFIGSTREAM-REMOTE0_PACKAGE_NAME libconfigstream-remote0)
set(CPACK_DEBIAN_LIBCONFIGSTREAM-REMOTE0_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBCONFIGSTREAM-REMOTE0_PACKAGE_DEPENDS "libconfigstream0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_LIBCONFIGSTREAM-REMOTE0_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/triggers)
set(CPACK_COMPONENT_LIBCONFIGSTREAM-REMOTE0_DESCRIPTION
"configuration of another host (library)
This library follows the stream that configstream-bridge serves over gRPC with
mutual TLS, and lets a program read what comes as libconfigstream lets it read
the configuration of its own host.")

if(TARGET configstream-relay)
  list(APPEND CPACK_COMPONENTS_ALL configstream-relay)
  set(CPACK_DEBIAN_CONFIGSTREAM_PACKAGE_SUGGESTS configstream-relay) # configstream client
endif()
set(CPACK_DEBIAN_CONFIGSTREAM-RELAY_PACKAGE_NAME configstream-relay)
set(CPACK_DEBIAN_CONFIGSTREAM-RELAY_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_CONFIGSTREAM-RELAY_PACKAGE_DEPENDS
    "configstream (= ${PROJECT_VERSION}), libconfigstream0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_CONFIGSTREAM-RELAY_PACKAGE_CONTROL_EXTRA postinst prerm postrm)
list(TRANSFORM CPACK_DEBIAN_CONFIGSTREAM-RELAY_PACKAGE_CONTROL_EXTRA PREPEND ${CMAKE_CURRENT_LIST_DIR}/relay/)
set(CPACK_COMPONENT_CONFIGSTREAM-RELAY_DESCRIPTION
"configuration of another host (relay and test client)
The daemon configstream-relay follows the stream of another host's
configstream-bridge and publishes it in shared memory, for all programs of this
host. The command configstream-client checks such a stream.")

include(CPack)
