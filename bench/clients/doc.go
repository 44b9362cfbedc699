// Package clients holds the Redis face of sessiond to what real clients do with it: PHP's own sessions by phpredis behind
// php-fpm, express-session with connect-redis, redis-cli and redis-benchmark. Clients in Go are in the module in folder
// golang, which keeps them out of this one's dependencies. There is no code here, only tests.
package clients
