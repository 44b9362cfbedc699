<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Response;
use PHPUnit\Framework\TestCase;

final class ResponseTest extends TestCase
{
    public function testParseHead(): void
    {
        $response = Response::parseHead("HTTP/1.1 200 OK\r\nETag: \"7\"\r\nX:\t a\tb \r\nx: c\r\nContent-Length: 12");
        self::assertSame(200, $response->status);
        self::assertSame('"7"', $response->header('etag'));
        self::assertSame("a\tb, c", $response->header('x'));
        self::assertSame('', $response->header('y'));
        self::assertSame(12, $response->bodyLength());
        self::assertTrue($response->keepsConnection());
        self::assertFalse(Response::parseHead("HTTP/1.1 200 OK\r\nConnection: Close")->keepsConnection());
        self::assertFalse(Response::parseHead('HTTP/1.0 200 OK')->keepsConnection());
        self::assertSame(0, Response::parseHead('HTTP/1.1 204')->bodyLength());
    }

    /**
     * @dataProvider heads
     */
    public function testRefusesAHead(string $head): void
    {
        $this->expectException(\UnexpectedValueException::class);
        Response::parseHead($head);
    }

    /**
     * @return array<int, array<int, string>>
     */
    public static function heads(): array
    {
        return [
            [''], ['SSH-2.0-OpenSSH'], ['HTTP/2 200 OK'], ['HTTP/1.1 99 x'], ['HTTP/1.1 600 x'], ['HTTP/1.1 2000 x'],
            ["HTTP/1.1 200 OK\r\nno colon"], ["HTTP/1.1 200 OK\r\n folded: x"], ["HTTP/1.1 200 OK\r\nA : b"],
            ["HTTP/1.1 200 OK\r\nA: b\nC: d"], ["HTTP/1.1 200 OK\r\nA: b\0"], ["HTTP/1.1 200 OK\r\n: b"],
            ["HTTP/1.1 200 OK\r\nA: b\r\n"], ["HTTP/1.1 200 OK\n"],
        ];
    }

    /**
     * @dataProvider lengths
     */
    public function testRefusesALength(string $headers): void
    {
        $this->expectException(\UnexpectedValueException::class);
        Response::parseHead("HTTP/1.1 200 OK\r\n$headers")->bodyLength();
    }

    /**
     * @return array<int, array<int, string>>
     */
    public static function lengths(): array
    {
        return [
            ['A: b'], ['Content-Length: '], ['Content-Length: -1'], ['Content-Length: +1'], ['Content-Length: 1e3'],
            ['Content-Length: 0x10'], ["Content-Length: 1\r\nContent-Length: 2"], ['Content-Length: 2097153'],
            ['Content-Length: 99999999999999999999'], ["Content-Length: 1\r\nTransfer-Encoding: chunked"],
        ];
    }

    /**
     * Whatever bytes come, the parser yields a response within its bounds or the one exception. The seed is printed
     * with a failure.
     */
    public function testSurvivesRandomHeads(): void
    {
        $seed = random_int(0, PHP_INT_MAX);
        mt_srand($seed);
        $pieces = ['HTTP/1.1 ', '200', ' OK', "\r\n", "\n", "\r", ':', ' ', "\0", 'Content-Length', '18', 'ETag', '"',
            "\t", 'Transfer-Encoding: chunked', 'Connection: close', "\xff", '-', str_repeat('9', 30)];
        $parsed = 0;
        for ($i = 0; $i < 20000; $i++) {
            $head = mt_rand(0, 1) === 0 ? "HTTP/1.1 200 OK\r\n" : '';
            for ($n = mt_rand(0, 8); $n > 0; $n--) {
                $head .= $pieces[mt_rand(0, count($pieces) - 1)];
            }
            try {
                $response = Response::parseHead($head);
                self::assertGreaterThanOrEqual(100, $response->status, "seed $seed");
                $parsed++;
                $length = $response->bodyLength();
                self::assertGreaterThanOrEqual(0, $length, "seed $seed");
                self::assertLessThanOrEqual(Response::MAX_BODY, $length, "seed $seed");
            } catch (\UnexpectedValueException $e) {
                continue;
            }
        }
        self::assertGreaterThan(0, $parsed, "seed $seed");
    }
}
