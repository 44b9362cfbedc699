<?php

/**
 * The life of a session by the client, over a real socket and without a session handler. Query: endpoints. Answers like
 * scenario.php.
 */

declare(strict_types=1);

use Lvsession\Client;
use Lvsession\Exception\Conflict;
use Lvsession\Exception\Destroyed;
use Lvsession\Exception\Unavailable;
use Lvsession\Options;
use Lvsession\SessionHandler;

require __DIR__ . '/../../autoload.php';

error_reporting(E_ALL);
$complaints = [];
set_error_handler(static function (int $level, string $message) use (&$complaints): bool {
    $complaints[] = $message;
    return true;
});
$client = new Client(new Options(['endpoints' => $_GET['endpoints']]));
$id = (new SessionHandler())->create_sid();
$payload = random_bytes(100000);
$calls = [];
$calls[] = $client->open($id) === null ? 'open: none' : 'open';
$calls[] = 'write: ' . $client->write($id, $payload, Client::NO_VERSION, '', 60000);
$session = $client->open($id);
$calls[] = $session->payload === $payload && $session->lease !== '' ? 'open: as written' : 'open: another';
$calls[] = 'write: ' . $client->write($id, 'two', $session->version, $session->lease, 60000, true);
try {
    $client->write($id, 'three', 1, '', 60000);
} catch (Conflict $e) {
    $calls[] = 'write: conflict';
}
$client->touch($id, false, 60000);
$client->destroy($id);
try {
    $client->write($id, 'four', Client::ANY_VERSION, '', 60000);
} catch (Destroyed $e) {
    $calls[] = 'write: destroyed';
}
try {
    (new Client(new Options(['endpoints' => 'http://127.0.0.1:1', 'breaker' => false])))->read($id);
} catch (Unavailable $e) {
    $calls[] = 'away: unavailable';
}
echo "\n", json_encode(['version' => PHP_VERSION, 'calls' => $calls, 'complaints' => $complaints]);
