/* errand webhook verify FILE */
#include "cli/cmd.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/request_file.h"
#include "cli/slurp.h"
#include "web/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command_flag cmd_webhook_verify_flags[] = {
    {"source", "NAME", "who sent it (default: the last word of the path /webhooks/NAME)"},
    {"secret-file", "FILE", "the signing secret (default: the settings of the source)"},
    {"hex-header", "NAME", "a source of your own signs with HMAC-SHA256 as hex in this header"},
    {NULL, NULL, NULL},
};

/* What is verified, and by what. */
struct verification {
    struct request_file file;
    struct signature_keys keys;
    struct source_list sources;
    struct source own; /* of a source that stands in no setting */
    const struct source *source;
};

static const char *verification_header(const void *context, const char *name)
{
    return request_file_header(context, name);
}

static bool source_choose(const struct cli *cli, struct verification *verification, struct err *err)
{
    static const char path[] = "/webhooks/";
    const char *name = cli_flag(cli, "source"), *header = cli_flag(cli, "hex-header"),
               *target = verification->file.target;
    if (!name && target && strncmp(target, path, strlen(path)) == 0)
        name = target + strlen(path);
    if (!name || !*name)
        return err_set(err, ERR_CONFIG, "the file does not tell its source: add --source NAME");
    if (!header && !source_list_init(&verification->sources, cli->settings, err))
        return false;
    verification->source = header ? NULL : source_list_find(&verification->sources, name);
    if (verification->source)
        return true;
    if (!cli_flag(cli, "secret-file"))
        return err_set(err, ERR_CONFIG,
                       "errand knows no settings of the source %.63s: add --secret-file FILE, or "
                       "the name to webhook_sources",
                       name);
    verification->own = (struct source){
        .name = name, .scheme = header ? SIGNATURE_HEX : SIGNATURE_STANDARD, .header = header};
    verification->source = &verification->own;
    return true;
}

/* A line end behind the secret does not count. */
static bool keys_from_file(struct verification *verification, const char *path, struct err *err)
{
    struct buf secret;
    buf_init(&secret, 4096);
    bool ok = slurp_file(&secret, path, err);
    if (ok) {
        const char *text = buf_text(&secret);
        if (secret.length)
            secret.data[strcspn(text, "\r\n")] = '\0';
        ok = signature_keys_init(&verification->keys, verification->source->scheme,
                                 verification->source->header, &text, 1, err) ||
             err_prefix(err, "%.200s", path);
    }
    buf_clear(&secret);
    return ok;
}

static bool verification_read(const struct cli *cli, struct verification *verification,
                              struct err *err)
{
    const char *secret = cli_flag(cli, "secret-file");
    if (!request_file_read(&verification->file, cli->args[0], err))
        return false;
    if (source_choose(cli, verification, err) &&
        (secret ? keys_from_file(verification, secret, err)
                : source_keys(verification->source, cli->settings, &verification->keys, err)))
        return true;
    source_list_clear(&verification->sources);
    request_file_clear(&verification->file);
    return false;
}

static int tell_right(const struct cli *cli, const struct verification *verification,
                      const char *id)
{
    char hash[SIGNATURE_HEX_BYTES];
    const struct request_file *file = &verification->file;
    if (!id) {
        signature_body_id(file->body, file->length, hash);
        id = hash;
    }
    struct buf line;
    buf_init(&line, 0);
    buf_add_text(&line, cli->json ? "{\"source\": \"" : "");
    str_escape(&line, verification->source->name, strlen(verification->source->name));
    buf_add_text(&line, cli->json ? "\", \"event_id\": \"" : ":");
    str_escape(&line, id, strlen(id));
    buf_add_text(&line, cli->json ? "\", \"verdict\": \"right\"}" : ": the signature is right");
    puts(buf_text(&line));
    buf_clear(&line);
    return FAILURE_OK;
}

/* A file is mostly older than a server would take: then it is said whether all else is right. */
static int tell_wrong(const struct cli *cli, const struct verification *verification,
                      struct signature_request *request, enum signature_verdict verdict)
{
    char message[200];
    const char *id, *hint = "";
    if (verdict == SIGNATURE_TOO_OLD || verdict == SIGNATURE_TOO_NEW) {
        const char *at = request_file_header(&verification->file, "svix-timestamp");
        if (!at)
            at = request_file_header(&verification->file, "webhook-timestamp");
        int64_t age_s = request->now_s - (at ? atoll(at) : 0);
        request->now_s -= age_s;
        verdict = signature_verify(&verification->keys, request, &id);
        if (verdict == SIGNATURE_RIGHT) {
            snprintf(message, sizeof message,
                     "the signature is right, but its timestamp is %" PRId64 " s %s",
                     age_s < 0 ? -age_s : age_s, age_s < 0 ? "ahead" : "ago");
            return failure_tell(cli, FAILURE_FAILED, message,
                                "A server takes it within 300 s, either way.");
        }
    }
    if (verdict == SIGNATURE_WRONG)
        hint = "The body must be the bytes that were received: a line end more changes it.";
    else if (verdict == SIGNATURE_NO_SECRET)
        hint = "`errand config` lists the settings; or give it with --secret-file.";
    return failure_tell(cli, FAILURE_FAILED, signature_verdict_text(verdict), hint);
}

int cmd_webhook_verify(struct cli *cli)
{
    struct verification *verification = mem_zalloc(sizeof *verification);
    struct err err = {0};
    const char *id;
    int status;
    if (!verification_read(cli, verification, &err)) {
        status = failure_tell(cli, FAILURE_USAGE, err.text,
                              "The file is what was received: headers, a blank line, the body.");
        free(verification);
        return status;
    }
    struct signature_request request = {verification_header, &verification->file,
                                        verification->file.body, verification->file.length,
                                        clock_wall_us() / 1000000};
    enum signature_verdict verdict = signature_verify(&verification->keys, &request, &id);
    status = verdict == SIGNATURE_RIGHT ? tell_right(cli, verification, id)
                                        : tell_wrong(cli, verification, &request, verdict);
    signature_keys_clear(&verification->keys);
    source_list_clear(&verification->sources);
    request_file_clear(&verification->file);
    free(verification);
    return status;
}
