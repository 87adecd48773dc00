# Code generated at build time: named SQL, migrations, and the list of first-party plug-ins. Needs awk alone.

include(errand_sql)

# errand_migrations(target): every migrations/SET/NNN_name.sql, embedded.
function(errand_migrations target)
    file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/*/*.sql)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/generated/${target}/migration_files.c)
    set(script ${CMAKE_SOURCE_DIR}/cmake/migrations_embed.awk)
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/generated/${target})
    add_custom_command(OUTPUT ${out} DEPENDS ${files} ${script} VERBATIM
        COMMAND env LC_ALL=C awk -f ${script} ${files} > ${out})
    target_sources(${target} PRIVATE ${out})
endfunction()

# errand_modules(target): jobs/NAME/*.c (and queries.sql as NAME_sql.h) of every plug-in, and the list of them. A folder
# with a CMakeLists.txt of its own is an example of a plug-in that is built out of the tree: it is not in the list.
function(errand_modules target)
    file(GLOB folders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/jobs/*/)
    set(list ${CMAKE_CURRENT_BINARY_DIR}/generated/${target}/modules_linked.c)
    set(declared "")
    set(entries "")
    add_library(${target} STATIC ${list})
    target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
    foreach(folder ${folders})
        get_filename_component(name ${folder} NAME)
        file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/jobs/${name}/*.c)
        if(NOT EXISTS ${CMAKE_SOURCE_DIR}/jobs/${name}/${name}.c)
            continue()
        endif()
        add_library(job_${name} STATIC ${sources})
        target_include_directories(job_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/jobs/${name})
        target_link_libraries(job_${name} PRIVATE errand_flags PUBLIC PkgConfig::JANSSON)
        if(EXISTS ${CMAKE_SOURCE_DIR}/jobs/${name}/queries.sql)
            errand_sql(job_${name} ${CMAKE_SOURCE_DIR}/jobs/${name}/queries.sql ${name})
        endif()
        if(EXISTS ${CMAKE_SOURCE_DIR}/jobs/${name}/CMakeLists.txt)
            continue()
        endif()
        target_link_libraries(${target} PUBLIC job_${name})
        string(APPEND declared "extern const struct errand_module ${name}_module;\n")
        string(APPEND entries "    &${name}_module,\n")
    endforeach()
    file(CONFIGURE OUTPUT ${list} @ONLY CONTENT
"/* Generated: the plug-ins of jobs/ that are linked in. */
#include \"module/linked.h\"

#include <stddef.h>

@declared@
const struct errand_module *const modules_linked[] = {
@entries@    NULL,
};
")
    target_link_libraries(${target} PRIVATE errand_flags PUBLIC module)
endfunction()
