# What plug-ins out of the tree build with: headers, CMake package, pkg-config file, and the skeleton to begin with.
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/errand-config-version.cmake VERSION ${PROJECT_VERSION}
    COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
configure_file(${CMAKE_SOURCE_DIR}/cmake/errand.pc.in ${CMAKE_BINARY_DIR}/errand.pc @ONLY)
install(DIRECTORY include/errand DESTINATION include)
install(FILES cmake/errand-config.cmake cmake/errand_sql.cmake cmake/errand_plugin.cmake cmake/sql_embed.awk
    ${CMAKE_BINARY_DIR}/errand-config-version.cmake DESTINATION share/cmake/errand)
install(FILES ${CMAKE_BINARY_DIR}/errand.pc DESTINATION share/pkgconfig)
install(DIRECTORY jobs/skeleton DESTINATION share/errand)
