<?php

/**
 * One step of a session, for the tests of this folder. Query: op, and the handler's settings locking, idle_ms,
 * on_failure and strict. The answer is JSON: the session's id and count before the step, or the error.
 */

declare(strict_types=1);

use Lvsession\Connection;
use Lvsession\Endpoint;
use Lvsession\Exception\SessionException;
use Lvsession\SessionHandler;

require getenv('PHPCLIENT') . '/autoload.php';

ini_set('display_errors', '0');
header('Content-Type: application/json');

$options = array_intersect_key($_GET, ['locking' => 1, 'idle_ms' => 1, 'on_failure' => 1]);
$options['strict_mode'] = ($_GET['strict'] ?? '1') === '1';

/** Tells the test that this request is here, and waits until it may go on. */
function gate(string $address): void
{
    $gate = stream_socket_client("tcp://$address");
    fwrite($gate, "here\n");
    fgets($gate);
}

/** Asks for a session and leaves the answer unread on the kept connection, as a script does that PHP stops. */
function abandon(string $id): void
{
    $endpoint = Endpoint::parse(getenv('LVSESSION_ENDPOINTS'));
    Connection::open($endpoint, 1000);
    $flags = STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT;
    $kept = stream_socket_client($endpoint->address(), $errno, $error, 1, $flags);
    fwrite($kept, "GET /v1/default/sessions/$id HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

try {
    $handler = SessionHandler::register($options);
    if (session_start() !== true) {
        http_response_code(503);
        echo json_encode(['error' => 'session_start']);
        return;
    }
    $answer = ['id' => session_id(), 'count' => $_SESSION['count'] ?? 0];
    if (isset($_GET['gate'])) {
        gate($_GET['gate']);
    }
    switch ($_GET['op']) {
        case 'count':
            $_SESSION['count'] = $answer['count'] + 1;
            break;
        case 'regenerate':
            session_regenerate_id($_GET['delete'] === '1');
            $answer['new'] = session_id();
            $_SESSION['count'] = $answer['count'] + 1;
            break;
        case 'destroy':
            session_destroy();
            break;
        case 'die':
            $_SESSION['count'] = $answer['count'] + 1;
            exec('kill -s KILL ' . getmypid());
            break;
    }
    $handler->commit();
    if ($_GET['op'] === 'abandon') {
        abandon($answer['id']);
    }
    echo json_encode($answer);
} catch (SessionException $e) {
    http_response_code(503);
    echo json_encode(['error' => get_class($e), 'message' => $e->getMessage()]);
}
