#include "templates.h"

#include "template.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest first: the end of the first is the third. */
static const char *const endings[] = {".subject.txt", ".html", ".txt"};

/* The length of the template's name in a file's name, and which part it is; 0 when it is none. */
static size_t file_name_split(const char *file, int *part)
{
    size_t length = strlen(file);
    for (*part = 0; *part < 3; ++*part) {
        size_t ending = strlen(endings[*part]);
        if (length > ending && strcmp(file + length - ending, endings[*part]) == 0)
            return file[0] == '.' ? 0 : length - ending;
    }
    return 0;
}

static char *file_read(const char *path, size_t *length, struct email_error *error)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(TEMPLATES_FILE_BYTES + 1);
    if (!file || !text) {
        email_error_set(error, "%s cannot be read: %s", path, strerror(errno));
        free(text);
        if (file)
            fclose(file);
        return NULL;
    }
    *length = fread(text, 1, TEMPLATES_FILE_BYTES + 1, file);
    fclose(file);
    if (*length <= TEMPLATES_FILE_BYTES) {
        text[*length] = '\0';
        return text;
    }
    email_error_set(error, "%s is larger than %d bytes", path, TEMPLATES_FILE_BYTES);
    free(text);
    return NULL;
}

static bool text_check(const char *path, const char *text, size_t length, struct email_error *error)
{
    struct template_error mistake;
    json_t *value = json_stringn(text, length);
    json_decref(value);
    if (!value || memchr(text, '\0', length))
        return email_error_set(error, "%s is no UTF-8 text", path);
    return template_check(text, length, &mistake) ||
           email_error_set(error, "%s: %s", path, mistake.text);
}

/* Borrowed texts are owned here: the struct says const because messages may not change them. */
static void text_free(const char *text)
{
    union {
        const char *borrowed;
        char *owned;
    } pointer = {text};
    free(pointer.owned);
}

static struct message_template *templates_get(struct templates *templates, const char *name,
                                              size_t length)
{
    for (size_t i = 0; i < templates->count; i++)
        if (strlen(templates->list[i].name) == length &&
            memcmp(templates->list[i].name, name, length) == 0)
            return &templates->list[i];
    if (templates->count == TEMPLATES_MAX)
        return NULL;
    if (!templates->list)
        templates->list = calloc(TEMPLATES_MAX, sizeof *templates->list);
    if (!templates->list)
        return NULL;
    struct message_template *added = &templates->list[templates->count];
    added->name = strndup(name, length);
    templates->count += added->name != NULL;
    return added->name ? added : NULL;
}

static bool templates_add(struct templates *templates, const char *directory, const char *file,
                          struct email_error *error)
{
    int part;
    size_t name_length = file_name_split(file, &part), length;
    char path[4096];
    if (name_length == 0)
        return true;
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (name_length > TEMPLATES_NAME_BYTES)
        return email_error_set(error, "%s: a template's name has at most %d bytes", path,
                               TEMPLATES_NAME_BYTES);
    char *text = file_read(path, &length, error);
    if (!text)
        return false;
    struct message_template *template = templates_get(templates, file, name_length);
    if (!template || !text_check(path, text, length, error)) {
        if (!template)
            email_error_set(error, "%s holds more than %d templates", directory, TEMPLATES_MAX);
        free(text);
        return false;
    }
    *(part == 0 ? &template->subject : part == 1 ? &template->html : &template->text) = text;
    return true;
}

static int template_compare(const void *a, const void *b)
{
    const struct message_template *first = a, *second = b;
    return strcmp(first->name, second->name);
}

static bool templates_check(const struct templates *templates, struct email_error *error)
{
    for (size_t i = 0; i < templates->count; i++)
        if (!templates->list[i].html && !templates->list[i].text)
            return email_error_set(
                error, "template '%s' has a subject and no body: add %s.html or %s.txt",
                templates->list[i].name, templates->list[i].name, templates->list[i].name);
    return true;
}

bool templates_load(struct templates *templates, const char *directory, struct email_error *error)
{
    DIR *opened = opendir(directory);
    bool ok = true;
    *templates = (struct templates){0};
    if (!opened)
        return email_error_set(error, "%s cannot be opened: %s", directory, strerror(errno));
    for (const struct dirent *entry; ok && (entry = readdir(opened));)
        ok = templates_add(templates, directory, entry->d_name, error);
    closedir(opened);
    if (ok && templates->count > 0)
        qsort(templates->list, templates->count, sizeof *templates->list, template_compare);
    ok = ok && templates_check(templates, error);
    if (!ok)
        templates_clear(templates);
    return ok;
}

void templates_clear(struct templates *templates)
{
    for (size_t i = 0; i < templates->count; i++) {
        text_free(templates->list[i].name);
        text_free(templates->list[i].subject);
        text_free(templates->list[i].html);
        text_free(templates->list[i].text);
    }
    free(templates->list);
    *templates = (struct templates){0};
}
