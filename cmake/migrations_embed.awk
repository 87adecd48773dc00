# Turns numbered migration files into one C table of struct migration_file, in the order given. The text is
# embedded byte for byte, as arrays, because compilers bound the length of a string literal.
BEGIN {
    count = 0
    for (i = 0; i < 256; i++) code[sprintf("%c", i)] = i
    print "/* Generated from migrations/. */\n#include \"cli/migration_file.h\"\n"
}
FNR == 1 {
    if (count) print "};"
    n = split(FILENAME, parts, "/")
    set[count] = parts[n - 1]; file[count] = parts[n]
    printf "static const unsigned char text_%d[] = {", count
    count++; column = 0
}
{
    line = $0 "\n"
    for (i = 1; i <= length(line); i++) {
        if (column++ % 24 == 0) printf "\n    "
        printf "%d,", code[substr(line, i, 1)]
    }
}
END {
    print "};\n\nconst struct migration_file migration_files[] = {"
    for (i = 0; i < count; i++)
        printf "    {\"%s\", \"%s\", (const char *)text_%d, sizeof text_%d},\n", set[i], file[i], i, i
    print "};\nconst size_t migration_file_count = sizeof migration_files / sizeof *migration_files;"
}
