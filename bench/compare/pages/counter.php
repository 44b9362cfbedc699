<?php

/**
 * The counter page (its contract: bench/load/doc.go) on whatever PHP is told to keep sessions in. What goes wrong with
 * the session is a warning of PHP's at most, so each warning that the code did not silence makes the answer 503: a
 * visit that may not be stored is never acknowledged.
 */

declare(strict_types=1);

ini_set('display_errors', '0'); // a warning in the body would not be JSON
header('Content-Type: application/json');
set_error_handler(static function (int $level, string $message): bool {
    if ((error_reporting() & $level) === 0) {
        return false;
    }
    throw new ErrorException($message, 0, $level);
}, E_ALL & ~E_DEPRECATED);

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

/** Stores, moves or destroys the session as the request wants, and returns what to answer. */
function count_visit(string $user, string $do, ?int $size): array
{
    if (!session_start()) {
        throw new RuntimeException('the session cannot be had');
    }
    $count = $_SESSION['count'] ?? 0;
    $owner = $_SESSION['user'] ?? $user;
    $was = $_SESSION['payload'] ?? '';
    if ($do === 'login' && !session_regenerate_id(true)) {
        throw new RuntimeException('the session cannot be moved');
    }
    if ($do === 'visit' || $do === 'login') {
        $count++;
        $_SESSION = ['user' => $owner, 'count' => $count];
        if ($size !== null) {
            $_SESSION['payload'] = payload($owner, $count, $size);
        }
    }
    $body = [
        'server' => getenv('SERVER') ?: gethostname(),
        'id' => substr(hash('sha256', session_id()), 0, 8),
        'count' => $count,
        'user' => $owner,
    ];
    if ($size !== null || $was !== '') {
        $body += ['size' => strlen($was), 'hash' => substr(hash('sha256', $was), 0, 16)];
    }
    $stored = $do === 'logout' ? session_destroy() : session_write_close();
    if (!$stored) {
        throw new RuntimeException('the session cannot be stored');
    }
    return $body;
}

$user = $_GET['user'] ?? '';
$do = $_GET['do'] ?? 'visit';
$size = $_GET['payload'] ?? null;
if (!is_string($user) || $user === '' || strlen($user) > 64) {
    answer(400, ['error' => 'query parameter user must have 1 to 64 bytes']);
    return;
}
if (!in_array($do, ['visit', 'read', 'login', 'logout'], true)) {
    answer(400, ['error' => 'query parameter do must be visit, read, login or logout']);
    return;
}
if ($size !== null && (!is_string($size) || !ctype_digit($size) || (int) $size > 1 << 20)) {
    answer(400, ['error' => 'query parameter payload must be 0 to 1048576']);
    return;
}
try {
    answer(200, count_visit($user, $do, $size === null ? null : (int) $size));
} catch (Throwable $e) {
    error_log($e->getMessage());
    answer(503, ['error' => 'the session could not be had or stored']);
}
