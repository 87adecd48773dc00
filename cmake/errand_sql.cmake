# errand_sql(target file prefix): PREFIX_sql.h and .c from a file of named statements, compiled into target.
# Also part of the installed package, for plug-ins out of the tree. Needs awk alone.
function(errand_sql target file prefix)
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/generated/${target})
    set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/sql_embed.awk)
    get_filename_component(file ${file} ABSOLUTE)
    file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${file})
    file(MAKE_DIRECTORY ${dir})
    foreach(mode header source)
        set(out ${dir}/${prefix}_sql.h)
        if(mode STREQUAL source)
            set(out ${dir}/${prefix}_sql.c)
        endif()
        add_custom_command(OUTPUT ${out} DEPENDS ${file} ${script} VERBATIM
            COMMAND env LC_ALL=C awk -v mode=${mode} -v prefix=${prefix} -v source=${name} -f ${script} ${file} > ${out})
    endforeach()
    target_sources(${target} PRIVATE ${dir}/${prefix}_sql.c ${dir}/${prefix}_sql.h)
    target_include_directories(${target} PUBLIC ${dir})
endfunction()
