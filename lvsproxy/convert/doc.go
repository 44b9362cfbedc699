// Package convert turns configurations into tables of virtual services, and back.
//
// [Rules] gives the commands of ipvsadm that make the table which ldirectord installs for a configuration, and [Spec] the
// configuration that says what a table says. Both are data: nothing is run.
package convert
