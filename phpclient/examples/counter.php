<?php

/**
 * Counts the visits of a session: the page that vipbench drives (its contract: bench/load/doc.go).
 *
 * GET counter.php?user=anna answers {"server":"web1","id":"5d41402a","count":7,"user":"anna"}, and only once the
 * session is stored. Settings come from the environment, see docs/php.md; SERVER_LABEL names the server.
 */

declare(strict_types=1);

use Lvsession\Exception\SessionException;
use Lvsession\SessionHandler;

require __DIR__ . '/../autoload.php';

ini_set('display_errors', '0'); // a warning in the body would not be JSON
header('Content-Type: application/json');

function answer(int $status, array $body): void
{
    http_response_code($status);
    echo json_encode($body), "\n";
}

$user = $_GET['user'] ?? '';
if (!is_string($user) || $user === '' || strlen($user) > 64) {
    answer(400, ['error' => 'query parameter user must have 1 to 64 bytes']);
    return;
}
try {
    $handler = SessionHandler::register();
    session_start();
    $_SESSION['user'] = $_SESSION['user'] ?? $user;
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    $body = [
        'server' => getenv('SERVER_LABEL') ?: gethostname(),
        'id' => substr(hash('sha256', session_id()), 0, 8),
        'count' => $_SESSION['count'],
        'user' => $_SESSION['user'],
    ];
    $handler->commit();
    answer(200, $body);
} catch (SessionException $e) {
    error_log($e->getMessage());
    header('Retry-After: 1');
    answer(503, ['error' => 'the session could not be had or stored']);
}
