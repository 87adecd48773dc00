# Turns a .sql file of named statements ("-- name: lane_read") into a C header (mode=header: an enum) or a
# source (mode=source: a table of struct errand_statement). Comment lines behind the name and blank lines stay
# out of the text that is sent.
function flush_statement() {
    if (name == "") return
    sub(/[ \n;]+$/, "", text)
    if (text == "") { print FILENAME ": statement " name " is empty" > "/dev/stderr"; failed = 1; exit 1 }
    names[count + 0] = name
    texts[count + 0] = text
    count++
}
function c_string(s,    lines, n, i, out) {
    gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s)
    n = split(s, lines, "\n"); out = ""
    for (i = 1; i <= n; i++) out = out "\n     \"" lines[i] (i < n ? "\\n" : "") "\""
    return out
}
/^-- name: / {
    flush_statement()
    name = $3; text = ""
    if (name !~ /^[a-z][a-z0-9_]*$/) { print FILENAME ": bad statement name '" name "'" > "/dev/stderr"; failed = 1; exit 1 }
    if (name in seen) { print FILENAME ": statement '" name "' stands twice" > "/dev/stderr"; failed = 1; exit 1 }
    seen[name] = 1
    next
}
/^[ \t]*--/ || /^[ \t]*$/ { next }
name == "" { print FILENAME ": SQL before the first '-- name:'" > "/dev/stderr"; failed = 1; exit 1 }
{ text = text (text == "" ? "" : "\n") $0 }
END {
    if (failed) exit 1
    flush_statement()
    if (source == "") source = FILENAME
    upper = toupper(prefix)
    if (mode == "header") {
        print "/* Generated from " source ". */"
        print "#ifndef " upper "_SQL_H\n#define " upper "_SQL_H\n"
        print "#include <errand/errand.h>\n"
        print "enum " prefix "_sql {"
        for (i = 0; i < count; i++) print "    " upper "_SQL_" toupper(names[i]) ","
        print "    " upper "_SQL_COUNT\n};\n"
        print "extern const struct errand_statement " prefix "_sql[" upper "_SQL_COUNT];\n"
        print "#endif"
    } else {
        print "/* Generated from " source ". */"
        print "#include \"" prefix "_sql.h\"\n"
        print "const struct errand_statement " prefix "_sql[" upper "_SQL_COUNT] = {"
        for (i = 0; i < count; i++) print "    {\"" names[i] "\"," c_string(texts[i]) "},"
        print "};"
    }
}
