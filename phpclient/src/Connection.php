<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * A connection to one sessiond, kept by the PHP process over the end of the request.
 *
 * PHP may stop a script anywhere, at max_execution_time for one, and keeps the stream all the same. The next request of
 * this process would then read an answer that was meant for another visitor. So the stream itself carries what state it
 * is in, in the one attribute of a stream that survives a request and that a script can both set and read: its chunk
 * size. Only a stream that is marked idle is used again.
 *
 * @internal
 */
final class Connection
{
    /** PHP's default chunk size: the stream was never used. */
    private const NEW = 8192;

    /** The last answer was read to its end. */
    private const IDLE = 8193;

    /** An exchange has begun and not ended. Also how much is read from the socket at once, so it is large. */
    private const BUSY = 65536;

    /** Process that opened the first stream: a forked child keeps none, lest it reads its parent's answers. */
    private static int $owner = 0;

    /** What PHP complained about last, see noteWarning(). */
    private static string $warning = '';

    /** @var resource */
    private $stream;

    private bool $reused;

    /** When the exchange fails, in nanoseconds of hrtime(). */
    private int $deadline = 0;

    /** Bytes that were read but not consumed. */
    private string $buffer = '';

    /** Anything was received in this exchange. */
    private bool $answering = false;

    /**
     * @param resource $stream
     */
    private function __construct($stream, bool $reused)
    {
        $this->stream = $stream;
        $this->reused = $reused;
    }

    /**
     * Takes the kept connection to an endpoint, or makes one.
     *
     * @param bool $fresh whether to close a kept connection and make another
     *
     * @throws TransportFailure if the endpoint cannot be reached in time
     */
    public static function open(Endpoint $endpoint, int $timeoutMs, bool $fresh = false): self
    {
        if (self::$owner === 0) {
            self::$owner = (int) getmypid();
        }
        $forked = self::$owner !== (int) getmypid();
        // The first try may hand out a kept stream that is of no use; closing it makes the second one connect.
        for ($try = 0; $try < 2; $try++) {
            $stream = self::connect($endpoint, $timeoutMs);
            $state = stream_set_chunk_size($stream, self::BUSY);
            if ($state === self::NEW) {
                return new self($stream, false);
            }
            if (!$fresh && !$forked && $state === self::IDLE && self::silent($stream)) {
                return new self($stream, true);
            }
            fclose($stream);
        }
        throw new TransportFailure('cannot get a fresh connection', false);
    }

    /**
     * Takes the connection for one more exchange of the same script.
     *
     * @return bool false if it is of no more use: get another by open()
     */
    public function again(): bool
    {
        if (!is_resource($this->stream) || self::$owner !== getmypid()) {
            return false;
        }
        if (stream_set_chunk_size($this->stream, self::BUSY) !== self::IDLE || !self::silent($this->stream)) {
            return false;
        }
        $this->reused = true;
        $this->answering = false;
        return true;
    }

    /**
     * Sends a request and reads its answer to the end.
     *
     * @throws TransportFailure if there is no complete answer in time; the connection is closed then
     */
    public function exchange(string $request, int $timeoutMs): Response
    {
        $this->deadline = hrtime(true) + $timeoutMs * 1000000;
        try {
            $this->send($request);
            do {
                $response = $this->receiveHead();
            } while ($response->status < 200);
            $response->body = $this->take($response->bodyLength());
            if ($this->buffer !== '') {
                throw new \UnexpectedValueException('the answer goes on after its end');
            }
        } catch (\UnexpectedValueException $e) {
            throw $this->failed($e->getMessage());
        }
        if ($response->keepsConnection()) {
            stream_set_chunk_size($this->stream, self::IDLE);
        } else {
            fclose($this->stream);
        }
        return $response;
    }

    /** For set_error_handler(): PHP's warnings end here while an exchange goes on. */
    public static function noteWarning(int $level, string $message): bool
    {
        self::$warning = $message;
        return true;
    }

    /**
     * @return resource
     */
    private static function connect(Endpoint $endpoint, int $timeoutMs)
    {
        $began = hrtime(true);
        self::$warning = '';
        $stream = @stream_socket_client(
            $endpoint->address(),
            $errno,
            $error,
            $timeoutMs / 1000,
            STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT,
            stream_context_create($endpoint->context())
        );
        if ($stream === false) {
            $slow = hrtime(true) - $began >= $timeoutMs * 900000;
            // Of a TLS handshake that failed PHP tells in warnings only.
            $why = (string) $error !== '' ? $error : preg_replace('~\s+~', ' ', self::$warning);
            throw new TransportFailure("cannot connect: $why", false, false, $slow);
        }
        return $stream;
    }

    /**
     * Whether nothing is to be read: neither the end of the stream nor an answer that nobody asked for.
     *
     * @param resource $stream
     */
    private static function silent($stream): bool
    {
        $read = [$stream];
        $none = null;
        return @stream_select($read, $none, $none, 0) === 0;
    }

    private function send(string $request): void
    {
        $length = strlen($request);
        for ($sent = 0; $sent < $length; $sent += $n) {
            $this->limit();
            $n = @fwrite($this->stream, $sent === 0 ? $request : substr($request, $sent));
            if ($n === false || $n === 0) {
                $slow = stream_get_meta_data($this->stream)['timed_out'];
                throw $this->failed('cannot send the request', $this->reused && !$slow, $slow);
            }
        }
    }

    private function receiveHead(): Response
    {
        $from = 0;
        while (($end = strpos($this->buffer, "\r\n\r\n", $from)) === false) {
            if (strlen($this->buffer) > Response::MAX_HEAD) {
                throw new \UnexpectedValueException('the headers of the answer are over the limit');
            }
            $from = max(0, strlen($this->buffer) - 3);
            $this->receive();
        }
        $response = Response::parseHead(substr($this->buffer, 0, $end));
        $this->buffer = substr($this->buffer, $end + 4);
        return $response;
    }

    private function take(int $length): string
    {
        while (strlen($this->buffer) < $length) {
            $this->receive();
        }
        $body = substr($this->buffer, 0, $length);
        $this->buffer = substr($this->buffer, $length);
        return $body;
    }

    private function receive(): void
    {
        $this->limit();
        $bytes = @fread($this->stream, self::BUSY);
        if ($bytes !== false && $bytes !== '') {
            $this->buffer .= $bytes;
            $this->answering = true;
            return;
        }
        if (stream_get_meta_data($this->stream)['timed_out']) {
            throw $this->failed('no answer in time', false, true);
        }
        $stale = $this->reused && !$this->answering;
        throw $this->failed('the connection ended before the answer did', $stale);
    }

    /** Gives the next system call what is left of the exchange's time. */
    private function limit(): void
    {
        $left = intdiv($this->deadline - hrtime(true), 1000);
        if ($left <= 0) {
            throw $this->failed('no answer in time', false, true);
        }
        stream_set_timeout($this->stream, intdiv($left, 1000000), $left % 1000000);
    }

    private function failed(string $why, bool $stale = false, bool $timedOut = false): TransportFailure
    {
        if (is_resource($this->stream)) { // a script can close it under us: it is in get_resources()
            fclose($this->stream);
        }
        $this->buffer = '';
        return new TransportFailure($why, true, $stale, $timedOut);
    }
}
