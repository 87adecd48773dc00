#include "config/settings_file.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char settings_file_blank[] = " \t\r\n";

static char *text_trim(char *text)
{
    text += strspn(text, settings_file_blank);
    size_t length = strlen(text);
    while (length > 0 && strchr(settings_file_blank, text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

static bool text_is_utf8(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint32_t character;
        size_t bytes = str_character(text + at, length - at, &character);
        if ((bytes == 1 && character == STR_REPLACEMENT) || character == 0)
            return false;
        at += bytes;
    }
    return true;
}

struct settings_file {
    settings_file_pair *on_pair;
    void *context;
    char *section; /* owned; NULL before the first heading */
    char where[1100];
};

static bool settings_file_heading(struct settings_file *file, char *line, struct err *err)
{
    size_t length = strlen(line);
    if (line[length - 1] != ']')
        return err_set(err, ERR_CONFIG, "%s: a heading is [section]", file->where);
    line[length - 1] = '\0';
    free(file->section);
    file->section = mem_strdup(text_trim(line + 1));
    return true;
}

static bool settings_file_line(struct settings_file *file, char *line, struct err *err)
{
    line = text_trim(line);
    if (*line == '\0' || *line == '#' || *line == ';')
        return true;
    if (*line == '[')
        return settings_file_heading(file, line, err);
    char *equals = strchr(line, '=');
    if (!equals || equals == line)
        return err_set(err, ERR_CONFIG, "%s: a line is [section], key = value, or # comment",
                       file->where);
    if (!file->section)
        return err_set(err, ERR_CONFIG, "%s: a setting stands below a [section] heading",
                       file->where);
    *equals = '\0';
    return file->on_pair(file->context, file->where, file->section, text_trim(line),
                         text_trim(equals + 1), err);
}

static bool settings_file_lines(struct settings_file *file, FILE *stream, const char *path,
                                struct err *err)
{
    char line[SETTINGS_FILE_LINE_MAX + 2];
    for (int number = 1; fgets(line, sizeof line, stream); number++) {
        size_t length = strlen(line);
        snprintf(file->where, sizeof file->where, "%s:%d", path, number);
        if (length > 0 && line[length - 1] != '\n' && !feof(stream))
            return err_set(err, ERR_CONFIG, "%s: line is longer than %d bytes, or holds a NUL",
                           file->where, SETTINGS_FILE_LINE_MAX);
        if (!text_is_utf8(line, length))
            return err_set(err, ERR_CONFIG, "%s: line is not UTF-8", file->where);
        char *text = number == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0 ? line + 3 : line;
        if (!settings_file_line(file, text, err))
            return false;
    }
    if (ferror(stream))
        return err_set(err, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    return true;
}

bool settings_file_read(const char *path, settings_file_pair *on_pair, void *context,
                        struct err *err)
{
    struct settings_file file = {.on_pair = on_pair, .context = context};
    FILE *stream = fopen(path, "re");
    if (!stream)
        return err_set(err, ERR_CONFIG, "cannot open configuration file %s: %s", path,
                       strerror(errno));
    bool ok = settings_file_lines(&file, stream, path, err);
    fclose(stream);
    free(file.section);
    return ok;
}
