/* The fields are those of the providers' own examples; ids stay the same, so that events that are
 * sent one after the other are about the same subscription. */
#include "cli/sample.h"

#include <string.h>

/* ---- Resend ---- */

#define EMAIL(data)                                                                                \
    "{'type': '', 'created_at': '$now', 'data': {'email_id': '$uuid', 'created_at': '$now', "      \
    "'message_id': '<sample@example.com>', 'from': 'Example <hello@example.com>', "                \
    "'to': ['someone@example.com'], 'subject': 'A sample', 'tags': {'category': 'sample'}" data    \
    "}}"

static const char email[] = EMAIL("");
static const char email_bounced[] = EMAIL(
    ", 'bounce': {'type': 'Permanent', 'subType': 'General', 'message': 'The recipient\\u2019s "
    "mail "
    "server permanently rejected the mail.', 'diagnosticCode': ['smtp; 550 5.1.1 no such user']}");
static const char email_failed[] = EMAIL(", 'failed': {'reason': 'reached_daily_quota'}");
static const char email_suppressed[] =
    EMAIL(", 'suppressed': {'type': 'OnAccountSuppressionList', 'message': 'The address is on the "
          "account\\u2019s suppression list.'}");
static const char email_clicked[] =
    EMAIL(", 'click': {'ipAddress': '192.0.2.1', 'link': 'https://example.com/', 'timestamp': "
          "'$now', 'userAgent': 'Mozilla/5.0'}");
static const char email_received[] =
    "{'type': '', 'created_at': '$now', 'data': {'email_id': '$uuid', 'created_at': '$now', "
    "'from': "
    "'someone@example.com', 'to': ['hello@example.com'], 'cc': [], 'bcc': [], 'message_id': "
    "'<sample@example.com>', 'subject': 'A sample', 'attachments': []}}";
static const char contact[] =
    "{'type': '', 'created_at': '$now', 'data': {'id': '$uuid', 'audience_id': '$uuid', "
    "'created_at': "
    "'$now', 'updated_at': '$now', 'email': 'someone@example.com', 'first_name': 'Some', "
    "'last_name': 'One', 'unsubscribed': false}}";
static const char domain[] =
    "{'type': '', 'created_at': '$now', 'data': {'id': '$uuid', 'name': 'example.com', 'status': "
    "'verified', 'created_at': '$now', 'region': 'us-east-1', 'records': []}}";

/* ---- Lemon Squeezy ---- */

#define LEMON(kind, id, attributes)                                                                \
    "{'meta': {'event_name': '', 'test_mode': false, 'custom_data': {}}, 'data': {'type': '" kind  \
    "', 'id': '" id "', 'attributes': {'store_id': 1, 'customer_id': 1, 'user_name': 'Some One', " \
    "'user_email': 'someone@example.com', 'test_mode': false, 'created_at': '$now', "              \
    "'updated_at': '$now', " attributes "}}}"

static const char order[] = LEMON(
    "orders", "1",
    "'identifier': '$uuid', 'order_number': 1, 'currency': 'USD', 'status': 'paid', 'refunded': "
    "false, 'refunded_at': null, 'subtotal': 1900, 'tax': 0, 'total': 1900, 'first_order_item': "
    "{'order_id': 1, 'product_id': 1, 'variant_id': 1, 'product_name': 'Pro', 'price': 1900}");
static const char subscription[] =
    LEMON("subscriptions", "1",
          "'order_id': 1, 'order_item_id': 1, 'product_id': 1, 'variant_id': 1, 'product_name': "
          "'Pro', 'variant_name': 'Monthly', 'status': 'active', "
          "'card_brand': 'visa', 'card_last_four': '4242', 'pause': null, 'cancelled': false, "
          "'trial_ends_at': null, 'billing_anchor': 1, 'renews_at': '$now+30d', 'ends_at': null, "
          "'urls': {'update_payment_method': 'https://example.com/', 'customer_portal': "
          "'https://example.com/'}");
static const char invoice[] =
    LEMON("subscription-invoices", "7",
          "'subscription_id': 1, 'billing_reason': 'renewal', 'card_brand': 'visa', "
          "'card_last_four': '4242', 'currency': 'USD', 'status': 'paid', 'refunded': false, "
          "'refunded_at': null, 'subtotal': 1900, 'tax': 0, 'total': 1900");
static const char license_key[] = LEMON(
    "license-keys", "1",
    "'order_id': 1, 'order_item_id': 1, 'product_id': 1, 'key': '$uuid', 'key_short': 'XXXX', "
    "'activation_limit': 5, 'instances_count': 0, 'disabled': false, 'status': 'inactive', "
    "'expires_at': null");

#define STATUS "data.attributes.status="
#define AT "data.attributes."

const struct sample sample_table[] = {
    {"email.sent", "resend", email, ""},
    {"email.scheduled", "resend", email, ""},
    {"email.delivered", "resend", email, ""},
    {"email.delivery_delayed", "resend", email, ""},
    {"email.bounced", "resend", email_bounced, ""},
    {"email.complained", "resend", email, ""},
    {"email.failed", "resend", email_failed, ""},
    {"email.suppressed", "resend", email_suppressed, ""},
    {"email.opened", "resend", email, ""},
    {"email.clicked", "resend", email_clicked, ""},
    {"email.received", "resend", email_received, ""},
    {"contact.created", "resend", contact, ""},
    {"contact.updated", "resend", contact, ""},
    {"contact.deleted", "resend", contact, ""},
    {"domain.created", "resend", domain, "data.status=not_started"},
    {"domain.updated", "resend", domain, ""},
    {"domain.deleted", "resend", domain, ""},
    {"order_created", "lemonsqueezy", order, ""},
    {"order_refunded", "lemonsqueezy", order,
     STATUS "refunded " AT "refunded=true " AT "refunded_at=$now"},
    {"subscription_created", "lemonsqueezy", subscription, ""},
    {"subscription_updated", "lemonsqueezy", subscription, ""},
    {"subscription_cancelled", "lemonsqueezy", subscription,
     STATUS "cancelled " AT "cancelled=true " AT "ends_at=$now+30d"},
    {"subscription_resumed", "lemonsqueezy", subscription, ""},
    {"subscription_expired", "lemonsqueezy", subscription, STATUS "expired " AT "ends_at=$now"},
    {"subscription_paused", "lemonsqueezy", subscription,
     STATUS "paused " AT "pause={\"mode\":\"void\",\"resumes_at\":null}"},
    {"subscription_unpaused", "lemonsqueezy", subscription, ""},
    {"subscription_plan_changed", "lemonsqueezy", subscription,
     AT "variant_id=2 " AT "variant_name=Yearly"},
    {"subscription_payment_success", "lemonsqueezy", invoice, ""},
    {"subscription_payment_failed", "lemonsqueezy", invoice, STATUS "pending"},
    {"subscription_payment_recovered", "lemonsqueezy", invoice, ""},
    {"subscription_payment_refunded", "lemonsqueezy", invoice,
     STATUS "refunded " AT "refunded=true " AT "refunded_at=$now"},
    {"license_key_created", "lemonsqueezy", license_key, ""},
    {"license_key_updated", "lemonsqueezy", license_key, STATUS "active"},
};
const size_t sample_count = sizeof sample_table / sizeof *sample_table;

const struct sample *sample_find(const char *type)
{
    for (size_t i = 0; i < sample_count; i++)
        if (strcmp(sample_table[i].type, type) == 0)
            return &sample_table[i];
    return NULL;
}
