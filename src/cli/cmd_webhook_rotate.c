/* errand webhook rotate-secret */
#include "cli/cmd.h"

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/slurp.h"
#include "web/source.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command_flag cmd_webhook_rotate_flags[] = {
    {"file", "FILE", "write the lines, both secrets with them, into this new file (mode 0600)"},
    {"secret-file", "FILE", "the new secret, where the sender has made it (- is standard input)"},
    {NULL, NULL, NULL},
};

struct rotation {
    const struct source *source;
    struct buf secret;            /* the new one */
    const char *current, *origin; /* the one that becomes the old one; NULL: none is set */
};

static bool secret_choose(const struct cli *cli, struct rotation *rotation, struct err *err)
{
    const char *path = cli_flag(cli, "secret-file"), *text;
    struct signature_keys keys;
    char made[SIGNATURE_SECRET_BYTES];
    if (!path) {
        if (!signature_secret_new(rotation->source->scheme, made))
            return err_set(err, ERR_TEMPORARY, "the system has no randomness");
        return buf_add_text(&rotation->secret, made);
    }
    if (!slurp_file(&rotation->secret, path, err))
        return false;
    text = buf_text(&rotation->secret);
    if (!*text || *text == '\n')
        return err_set(err, ERR_CONFIG, "%.200s is empty", path);
    rotation->secret.data[strcspn(text, "\r\n")] = '\0';
    if (!signature_keys_init(&keys, rotation->source->scheme, NULL, &text, 1, err))
        return err_prefix(err, "%.200s", path);
    signature_keys_clear(&keys);
    return rotation->current == NULL || strcmp(rotation->current, text) != 0 ||
           err_set(err, ERR_CONFIG, "%.200s holds the secret that is set already", path);
}

/* The lines of the configuration file. The present secret stands in them only when nobody looks. */
static void lines_write(const struct rotation *rotation, FILE *file, bool whole)
{
    const struct source *source = rotation->source;
    fprintf(file, "[%s]\n%s = %s\n", source->section, source->secret, buf_text(&rotation->secret));
    if (rotation->current && whole)
        fprintf(file, "%s = %s\n", source->secret_old, rotation->current);
    else if (rotation->current)
        fprintf(file, "# %s = the secret until now, out of: %s\n", source->secret_old,
                rotation->origin);
}

static bool lines_save(const struct rotation *rotation, const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_CONFIG, "%.200s: %s", path, strerror(errno));
    }
    lines_write(rotation, file, true);
    bool ok = !ferror(file);
    if (fclose(file) != 0 || !ok) {
        unlink(path);
        return err_set(err, ERR_CONFIG, "%.200s: %s", path, strerror(errno));
    }
    return true;
}

static void steps_print(const struct cli *cli, const struct rotation *rotation)
{
    const struct source *source = rotation->source;
    if (settings_text(cli->settings, source->section, source->secret_old))
        printf("An old secret is still set (%s): with these lines it is no longer taken.\n",
               settings_origin(cli->settings, source->section, source->secret_old));
    if (*rotation->origin != '/')
        printf("What was set comes from %s, which goes before the file: change it there.\n",
               rotation->origin);
    printf("1. Set both in errand and restart it: from then on it takes either.\n"
           "2. Give the new one to the sender.\n"
           "3. A day later take %s away.\n",
           source->secret_old);
    if (strcmp(source->name, "resend") == 0 && !cli_flag(cli, "secret-file"))
        puts("Resend makes its secrets itself: hand in that one with --secret-file.");
}

static void rotation_print(const struct cli *cli, const struct rotation *rotation)
{
    const char *path = cli_flag(cli, "file");
    if (path)
        printf("The lines stand in %s.\n", path);
    else
        lines_write(rotation, stdout, false);
    if (rotation->current)
        steps_print(cli, rotation);
    else
        puts("No secret was set before: there is no old one.");
}

static void rotation_print_json(const struct cli *cli, const struct rotation *rotation)
{
    const char *path = cli_flag(cli, "file");
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?}", "source", rotation->source->name,
                  "section", rotation->source->section, "setting", rotation->source->secret,
                  "secret", path ? NULL : buf_text(&rotation->secret), "setting_old",
                  rotation->current ? rotation->source->secret_old : NULL, "origin_old",
                  rotation->origin, "file", path);
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

static int rotate(const struct cli *cli, const struct source *source)
{
    const char *path = cli_flag(cli, "file");
    struct rotation rotation = {
        .source = source, .current = settings_text(cli->settings, source->section, source->secret)};
    struct err err = {0};
    if (rotation.current)
        rotation.origin = settings_origin(cli->settings, source->section, source->secret);
    buf_init(&rotation.secret, 4096);
    bool ok = secret_choose(cli, &rotation, &err) && (!path || lines_save(&rotation, path, &err));
    int status =
        ok ? FAILURE_OK
           : failure_tell(cli, FAILURE_FAILED, err.text, path ? "FILE must not be there yet." : "");
    if (ok)
        (cli->json ? rotation_print_json : rotation_print)(cli, &rotation);
    buf_clear(&rotation.secret);
    return status;
}

int cmd_webhook_rotate(struct cli *cli)
{
    struct source_list list;
    struct err err = {0};
    if (!source_list_init(&list, cli->settings, &err))
        return failure_tell(cli, FAILURE_USAGE, err.text, "");
    const struct source *source = source_list_find(&list, cli->args[0]);
    int status = source ? rotate(cli, source)
                        : failure_usage(cli, "`errand webhook endpoints` lists the sources.",
                                        "errand has no secret of '%.63s'", cli->args[0]);
    source_list_clear(&list);
    return status;
}
