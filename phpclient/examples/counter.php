<?php

/**
 * Counts the visits of a session: the page that vipbench drives (its contract: bench/load/doc.go).
 *
 * GET counter.php?user=anna answers {"server":"web1","id":"5d41402a","count":7,"user":"anna"}, and only once the
 * session is stored. do=read, do=login and do=logout ask for more than a visit, payload=2000 for a session of that
 * size. Settings come from the environment, see docs/php.md; SERVER_LABEL names the server.
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

/** What a visit stores beside the count: whoever reads it can tell whose it is and how old. */
function payload(string $user, int $count, int $size): string
{
    $block = hash('sha256', $user . ':' . $count);
    return substr(str_repeat($block, intdiv($size, 64) + 1), 0, $size);
}

$user = $_GET['user'] ?? '';
if (!is_string($user) || $user === '' || strlen($user) > 64) {
    answer(400, ['error' => 'query parameter user must have 1 to 64 bytes']);
    return;
}
$do = $_GET['do'] ?? 'visit';
if (!in_array($do, ['visit', 'read', 'login', 'logout'], true)) {
    answer(400, ['error' => 'query parameter do must be visit, read, login or logout']);
    return;
}
$size = $_GET['payload'] ?? null;
if ($size !== null && (!is_string($size) || !ctype_digit($size) || (int) $size > 1 << 20)) {
    answer(400, ['error' => 'query parameter payload must be 0 to 1048576']);
    return;
}
try {
    $handler = SessionHandler::register();
    session_start();
    $count = $_SESSION['count'] ?? 0;
    $owner = $_SESSION['user'] ?? $user;
    $was = $_SESSION['payload'] ?? '';
    if ($do === 'login') {
        session_regenerate_id(true);
    }
    if ($do === 'visit' || $do === 'login') {
        $count++;
        $_SESSION['user'] = $owner;
        $_SESSION['count'] = $count;
        unset($_SESSION['payload']);
        if ($size !== null) {
            $_SESSION['payload'] = payload($owner, $count, (int) $size);
        }
    }
    $body = [
        'server' => getenv('SERVER_LABEL') ?: gethostname(),
        'id' => substr(hash('sha256', session_id()), 0, 8),
        'count' => $count,
        'user' => $owner,
    ];
    if ($size !== null || $was !== '') {
        $body += ['size' => strlen($was), 'hash' => substr(hash('sha256', $was), 0, 16)];
    }
    if ($do === 'logout') {
        session_destroy();
        if ($handler->lastError() !== null) {
            throw $handler->lastError();
        }
    } else {
        $handler->commit();
    }
    answer(200, $body);
} catch (SessionException $e) {
    error_log($e->getMessage());
    header('Retry-After: 1');
    answer(503, ['error' => 'the session could not be had or stored']);
}
