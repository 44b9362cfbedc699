<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Endpoint;
use Lvsession\Tls;
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
            ['https://store', 'tls://store:8090/' . substr(hash('sha256', 'a:0:{}'), 0, 16), 'store:8090'],
            ['unix:///run/sessiond.sock', 'unix:///run/sessiond.sock', 'localhost'],
        ];
    }

    public function testConnectionsUnderOtherTlsSettingsAreNotShared(): void
    {
        $none = ['ca_file' => '', 'client_cert' => '', 'client_key' => ''];
        $tls = Tls::fromOptions(['ca_file' => __FILE__] + $none);
        $other = Tls::fromOptions(['client_cert' => __FILE__] + $none);
        $addresses = [
            Endpoint::parse('https://a:1')->address(),
            Endpoint::parse('https://a:1', $tls)->address(),
            Endpoint::parse('https://a:1', $other)->address(),
        ];
        self::assertSame($addresses, array_unique($addresses));
        self::assertSame(__FILE__, Endpoint::parse('https://[::1]:1', $tls)->context()['ssl']['cafile']);
        self::assertSame('::1', Endpoint::parse('https://[::1]:1', $tls)->context()['ssl']['peer_name']);
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
            [''], ['127.0.0.1:8090'], ['ftp://a:1'], ['https://a:0'],
            ['http://a:0'], ['http://a:65536'], ['http://a:1/path'],
            ['http://user@a:1'], ["http://a:1\r\nX: y"], ['unix://relative.sock'], ["unix:///a\n"], ['http://a b:1'],
        ];
    }
}
