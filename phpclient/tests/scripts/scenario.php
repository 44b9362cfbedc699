<?php

/**
 * One request of a scenario. Query: handler (files or ours), op, strict, and where sessions are: path, endpoints. At
 * the very end it answers, after a line of its own, what PHP called and what the page saw: whatever happens before.
 */

declare(strict_types=1);

use Lvsession\Options;
use Lvsession\Tests\Calls;
use Lvsession\Tests\FilesRecorder;
use Lvsession\Tests\Recorder;

require __DIR__ . '/../bootstrap.php';
if (file_exists('/dev/sessiond')) {
    require __DIR__ . '/../wasm/Connection.php';
}

error_reporting(E_ALL);
ini_set('display_errors', '0');
ini_set('session.use_strict_mode', $_GET['strict'] ?? '1');
ini_set('session.gc_probability', '0');
ini_set('session.save_path', $_GET['path']);
ob_start();

$seen = ['version' => PHP_VERSION, 'results' => [], 'complaints' => []];
set_error_handler(static function (int $level, string $message) use (&$seen): bool {
    // PHP names the handler in its messages, and says where the files are.
    $seen['complaints'][] = preg_replace('~[ (]*(path|session\.save_path|handler): .*~', '', $message);
    return true;
});
$options = Options::fromEnvironment(['endpoints' => $_GET['endpoints'], 'lock_wait_ms' => 20000]);
session_set_save_handler($_GET['handler'] === 'files' ? new FilesRecorder() : new Recorder($options), true);
$report = static function () use (&$seen): void {
    $seen['calls'] = Calls::$made;
    $seen['session'] = $_SESSION ?? null;
    $seen['status'] = session_status();
    $seen['kept'] = session_id() === ($_COOKIE['PHPSESSID'] ?? null);
    $seen['empty'] = session_id() === '';
    ob_end_clean();
    echo "\n", json_encode($seen);
};
// PHP stores the session when all shutdown functions have run that the script registered, and then those that they did.
register_shutdown_function(static function () use ($report): void {
    register_shutdown_function($report);
});

/** What PHP's functions return, for comparison. */
$note = static function ($result) use (&$seen): void {
    $seen['results'][] = is_string($result) || is_int($result) ? gettype($result) : $result;
};

$op = $_GET['op'];
if ($op === 'read and close') {
    $note(session_start(['read_and_close' => true]));
    $_SESSION['a'] = 9;
    return;
}
$note(session_start($op === 'not lazy' ? ['lazy_write' => false] : []));
switch ($op) {
    case 'write':
        $_SESSION['a'] = ($_SESSION['a'] ?? 0) + 1;
        break;
    case 'write and close':
        $_SESSION['a'] = 7;
        $note(session_write_close());
        $_SESSION['a'] = 8;
        $note(session_write_close());
        break;
    case 'start again':
        $note(session_write_close());
        $note(session_start());
        $_SESSION['b'] = 1;
        break;
    case 'start while active':
        $note(session_start());
        break;
    case 'regenerate':
        $note(session_regenerate_id());
        $_SESSION['a'] = 5;
        break;
    case 'regenerate and delete':
        $note(session_regenerate_id(true));
        $_SESSION['a'] = 5;
        break;
    case 'destroy':
        $note(session_destroy());
        break;
    case 'destroy and begin anew':
        $note(session_destroy());
        $note(session_start());
        $_SESSION['c'] = 1;
        break;
    case 'abort':
        $_SESSION['a'] = 9;
        $note(session_abort());
        break;
    case 'reset':
        $_SESSION['a'] = 9;
        $note(session_reset());
        break;
    case 'unset':
        $note(session_unset());
        break;
    case 'create id':
        $note(session_create_id('prefix-'));
        break;
    case 'gc':
        $note(session_gc());
        break;
    case 'exit':
        $_SESSION['a'] = 6;
        exit;
    case 'exception':
        $_SESSION['a'] = 6;
        restore_error_handler();
        throw new RuntimeException('of the page');
    case 'fatal error':
        $_SESSION['a'] = 6;
        undefined_function();
}
