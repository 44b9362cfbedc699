<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Endpoint;
use PHPUnit\Framework\TestCase;

final class EndpointTest extends TestCase
{
    /**
     * @dataProvider urls
     */
    public function testParse(string $url, string $address, string $host): void
    {
        $endpoint = Endpoint::parse($url);
        self::assertSame($address, $endpoint->address());
        self::assertSame($host, $endpoint->host());
    }

    /**
     * @return array<int, array<int, string>>
     */
    public static function urls(): array
    {
        return [
            ['http://127.0.0.1:8090', 'tcp://127.0.0.1:8090', '127.0.0.1:8090'],
            ['http://127.0.0.1:8090/', 'tcp://127.0.0.1:8090', '127.0.0.1:8090'],
            ['http://store', 'tcp://store:8090', 'store:8090'],
            ['http://[::1]:1', 'tcp://[::1]:1', '[::1]:1'],
            ['unix:///run/sessiond.sock', 'unix:///run/sessiond.sock', 'localhost'],
        ];
    }

    /**
     * @dataProvider nonsense
     */
    public function testRefuses(string $url): void
    {
        $this->expectException(\InvalidArgumentException::class);
        Endpoint::parse($url);
    }

    /**
     * @return array<int, array<int, string>>
     */
    public static function nonsense(): array
    {
        return [
            [''], ['127.0.0.1:8090'], ['https://a:1'], ['http://a:0'], ['http://a:65536'], ['http://a:1/path'],
            ['http://user@a:1'], ["http://a:1\r\nX: y"], ['unix://relative.sock'], ["unix:///a\n"], ['http://a b:1'],
        ];
    }
}
