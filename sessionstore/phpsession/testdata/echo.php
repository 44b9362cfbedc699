<?php

/**
 * Reads sessions from standard input, each after a line with its length, and answers with what PHP makes of them:
 * decoded and encoded again, or "no" if PHP cannot read it. The format is session.serialize_handler's.
 */

declare(strict_types=1);

error_reporting(0);

enum Suit: string
{
    case Hearts = 'H';
    case Spades = 'S';
}

class Point
{
    public $x = 1;
    protected $y = 2.5;
    private $z = [1, 2];
}

class Modern
{
    public $data = [];

    public function __serialize(): array
    {
        return $this->data;
    }

    public function __unserialize(array $data): void
    {
        $this->data = $data;
    }
}

class Old implements Serializable
{
    private $data;

    public function serialize()
    {
        return $this->data;
    }

    public function unserialize($data)
    {
        $this->data = $data;
    }
}

session_start();
while (($line = fgets(STDIN)) !== false) {
    $payload = (string) stream_get_contents(STDIN, (int) $line);
    if (session_status() !== PHP_SESSION_ACTIVE) {
        session_start();
    }
    $_SESSION = [];
    try {
        $answer = $payload === '' || session_decode($payload) ? session_encode() : null;
        $answer = $answer === false ? '' : $answer;
    } catch (Throwable $e) {
        $answer = null;
    }
    fwrite(STDOUT, $answer === null ? "no\n" : strlen($answer) . "\n" . $answer);
}
session_destroy();
