<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * Stands in for the package's class of this name where PHP runs as WebAssembly: there no socket can be waited for while
 * PHP itself calls a session handler. device.mjs makes a device instead, which carries a request to sessiond and its
 * answer back.
 */
final class Connection
{
    public static function open(Endpoint $endpoint, int $timeoutMs, bool $fresh = false): self
    {
        return new self();
    }

    public static function noteWarning(int $level, string $message): bool
    {
        return true;
    }

    public function again(): bool
    {
        return true;
    }

    public function exchange(string $request, int $timeoutMs): Response
    {
        $device = fopen('/dev/sessiond', 'r+b');
        fwrite($device, $request);
        [$head, $body] = explode("\r\n\r\n", (string) stream_get_contents($device), 2) + ['', ''];
        fclose($device);
        $response = Response::parseHead($head);
        if (strlen($body) !== $response->bodyLength()) {
            throw new TransportFailure('the answer is cut off', true);
        }
        $response->body = $body;
        return $response;
    }
}
