// Package phpfpm starts real PHP servers on loopback addresses for tests: nginx in front of php-fpm, as a site runs them,
// without privileges and each with a folder of its own, so that many fit on one machine and any of them can be killed.
package phpfpm
