// Package alert tells people and programs of what happens to real servers: by e-mail as ldirectord does (emailalert and
// its kin), and by a webhook.
//
// An [Alerter] never holds up who tells it something: it has a bounded queue for each way of delivery, a bounded number of
// tries for each message, and drops what cannot be delivered, with a line in the log.
package alert
