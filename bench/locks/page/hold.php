<?php

/**
 * Counts in its session, and holds the session's lock for a while. Query: ms, how long; and either redis, the address
 * of a Redis, with wait, µs between phpredis's attempts, and retries; or sessiond, the addresses of one or more of it.
 */

declare(strict_types=1);

ini_set('display_errors', '0');
if (isset($_GET['redis'])) {
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://{$_GET['redis']}?persistent=1");
    ini_set('redis.session.locking_enabled', '1');
    ini_set('redis.session.lock_wait_time', $_GET['wait']);
    ini_set('redis.session.lock_retries', $_GET['retries']);
} else {
    require getenv('PHPCLIENT') . '/autoload.php';
    Lvsession\SessionHandler::register(['endpoints' => explode(',', $_GET['sessiond'])]);
}

if (!session_start()) {
    http_response_code(503);
    exit('no session');
}
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
usleep(1000 * (int) $_GET['ms']);
session_write_close();
echo $_SESSION['count'];
