# errand_plugin(NAME sources...): NAME.so in the build directory's plugins/, as errand loads it. A queries.sql beside the
# CMakeLists.txt becomes NAME_sql.h. Nobody but its owner may write to it, whatever the umask: errand refuses others.
function(errand_plugin name)
    add_library(${name} MODULE ${ARGN})
    target_link_libraries(${name} PRIVATE errand::plugin)
    set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX .so C_VISIBILITY_PRESET hidden
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins)
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/queries.sql)
        errand_sql(${name} ${CMAKE_CURRENT_SOURCE_DIR}/queries.sql ${name})
    endif()
    add_custom_command(TARGET ${name} POST_BUILD COMMAND chmod go-w ${CMAKE_BINARY_DIR}/plugins $<TARGET_FILE:${name}>)
endfunction()
