<?php

/**
 * One request of a PHP page, for the tests of this folder. Query: op, and ini, settings to make before the session
 * starts. The answer is JSON.
 */

declare(strict_types=1);

ini_set('display_errors', '0');
header('Content-Type: application/json');

$said = [];
set_error_handler(function (int $level, string $message) use (&$said): bool {
    $said[] = $message;
    return true;
});

foreach ($_GET['ini'] ?? [] as $name => $value) {
    if (ini_set($name, $value) === false) {
        $said[] = "no setting $name";
    }
}

$op = $_GET['op'] ?? 'count';
$started = session_start($op === 'read_and_close' ? ['read_and_close' => true] : []);
$id = session_id();
switch ($op) {
    case 'count':
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
        break;
    case 'read':
    case 'read_and_close':
        break;
    case 'regenerate':
    case 'regenerate_and_delete':
        session_regenerate_id($op !== 'regenerate');
        break;
    case 'destroy':
        session_destroy();
        break;
    case 'fill':
        $_SESSION['all'] = [1, 2.5, true, null, "\0\xff", ['k' => new DateTimeZone('UTC')]];
        $_SESSION['long'] = str_repeat('a long value ', 20000);
        break;
    case 'compare':
        $_SESSION['same'] = ($_SESSION['all'] ?? null) == [1, 2.5, true, null, "\0\xff", ['k' => new DateTimeZone('UTC')]]
            && $_SESSION['long'] === str_repeat('a long value ', 20000);
        break;
    case 'abort':
        $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 100;
        session_abort();
        break;
}
$after = session_id();
$n = $_SESSION['n'] ?? 0;
$same = $_SESSION['same'] ?? false;
session_write_close();
echo json_encode(['started' => $started, 'id' => $id, 'after' => $after, 'n' => $n, 'same' => $same, 'said' => $said]);
