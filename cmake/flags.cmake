# Compiler flags of errand's own code: warnings, sanitizers in debug builds, hardening in release builds
# (OpenSSF compiler options guide; only what the compiler knows).
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

# errand_flags is for all; errand_host_flags is the same without sanitizers, for errand-host.
add_library(errand_host_flags INTERFACE)
add_library(errand_flags INTERFACE)
target_link_libraries(errand_flags INTERFACE errand_host_flags)
target_compile_definitions(errand_host_flags INTERFACE _GNU_SOURCE ERRAND_VERSION="${PROJECT_VERSION}")
target_compile_options(errand_host_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef -Wvla -Wcast-qual -Wconversion)
if(ERRAND_WERROR)
    target_compile_options(errand_host_flags INTERFACE -Werror)
endif()
if(ERRAND_FAILPOINTS)
    target_compile_definitions(errand_host_flags INTERFACE ERRAND_FAILPOINTS)
endif()
if(ERRAND_SANITIZE)
    target_compile_options(errand_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
    target_link_options(errand_flags INTERFACE -fsanitize=address,undefined)
else()
    target_compile_options(errand_host_flags INTERFACE -U_FORTIFY_SOURCE)
    # branch, not full: coroutines change stacks, which a shadow stack forbids.
    foreach(flag -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=branch
                 -ftrivial-auto-var-init=zero -fPIE -fno-delete-null-pointer-checks -fno-strict-overflow)
        string(MAKE_C_IDENTIFIER "HAVE_${flag}" have)
        check_c_compiler_flag(${flag} ${have})
        if(${have})
            target_compile_options(errand_host_flags INTERFACE ${flag})
        endif()
    endforeach()
    target_link_options(errand_host_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)
endif()
