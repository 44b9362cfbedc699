<?php

/**
 * Runs the proxy of Lvsession\Tests\Proxy: php proxy.php TARGET PLAN [CERTIFICATE [CA]]. Prints its address. With a
 * certificate, a PEM file that holds the key too, it speaks TLS; with a CA's it wants one of the client's.
 */

declare(strict_types=1);

/**
 * Reads one request or answer, whose length its headers say.
 *
 * @param resource $from
 */
function message($from): ?string
{
    $head = '';
    while (substr($head, -4) !== "\r\n\r\n") {
        $line = fgets($from);
        if ($line === false) {
            return null;
        }
        $head .= $line;
    }
    $body = '';
    $length = preg_match('~^content-length: *([0-9]+)~mi', $head, $m) === 1 ? (int) $m[1] : 0;
    while (strlen($body) < $length) {
        $bytes = fread($from, $length - strlen($body));
        if ($bytes === false || $bytes === '') {
            return null;
        }
        $body .= $bytes;
    }
    return $head . $body;
}

function forward(string $target, string $request): string
{
    $upstream = stream_socket_client($target);
    fwrite($upstream, $request);
    return (string) message($upstream);
}

/**
 * @param resource $client
 *
 * @return bool whether to keep the connection
 */
function serve($client, string $request, string $target, string $action): bool
{
    switch ($action) {
        case 'refuse':
            return false;
        case 'flood':
            fwrite($client, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n");
            return true;
        case 'busy':
            $body = '{"type":"about:blank","title":"unavailable","status":503,"detail":"draining"}';
            fwrite($client, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
                . 'Content-Length: ' . strlen($body) . "\r\n\r\n$body");
            return true;
        case 'stranger':
            fwrite($client, "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nsorry");
            return true;
    }
    $answer = forward($target, $request);
    switch ($action) {
        case 'lose':
            return false;
        case 'half':
            fwrite($client, substr($answer, 0, intdiv(strlen($answer), 2)));
            return false;
        case 'stall':
            fwrite($client, substr($answer, 0, intdiv(strlen($answer), 2)));
            return true;
        case 'excess':
            $answer .= 'x';
    }
    fwrite($client, $answer);
    return true;
}

$certificate = $argv[3] ?? '';
$ssl = ['local_cert' => $certificate] + (isset($argv[4])
    ? ['verify_peer' => true, 'verify_peer_name' => false, 'cafile' => $argv[4]]
    : ['verify_peer' => false]);
$server = stream_socket_server(
    ($certificate === '' ? 'tcp' : 'tls') . '://127.0.78.1:0',
    $errno,
    $error,
    STREAM_SERVER_BIND | STREAM_SERVER_LISTEN,
    stream_context_create(['ssl' => $ssl])
);
echo stream_socket_get_name($server, false), "\n";
$plan = explode(',', $argv[2]);
while (true) {
    $client = @stream_socket_accept($server, -1);
    if ($client === false) {
        continue; // a handshake that failed
    }
    while (($request = message($client)) !== null) {
        if (!serve($client, $request, $argv[1], (string) (array_shift($plan) ?: 'pass'))) {
            break;
        }
    }
    fclose($client);
}
