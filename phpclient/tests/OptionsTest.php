<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use Lvsession\Options;
use PHPUnit\Framework\TestCase;

final class OptionsTest extends TestCase
{
    protected function tearDown(): void
    {
        putenv('LVSESSION_ENDPOINTS');
        putenv('LVSESSION_LOCKING');
        putenv('LVSESSION_STRICT_MODE');
    }

    public function testDefaults(): void
    {
        $options = new Options();
        self::assertSame('tcp://127.0.0.1:8090', $options->endpoints[0]->address());
        self::assertSame(Options::LOCKING_LEASE, $options->locking);
        self::assertTrue($options->strictMode);
    }

    public function testOptionsGoBeforeTheEnvironment(): void
    {
        putenv('LVSESSION_ENDPOINTS=http://a:1, unix:///b');
        putenv('LVSESSION_LOCKING=none');
        putenv('LVSESSION_STRICT_MODE=off');
        $options = Options::fromEnvironment(['locking' => 'optimistic']);
        self::assertCount(2, $options->endpoints);
        self::assertSame('unix:///b', $options->endpoints[1]->address());
        self::assertSame('optimistic', $options->locking);
        self::assertFalse($options->strictMode);
    }

    public function testTheSecretIsNotTold(): void
    {
        $options = new Options(['secret' => 's3cret']);
        self::assertSame('s3cret', $options->secret);
        self::assertStringNotContainsString('s3cret', print_r($options, true));
        try {
            new Options(['secret' => 's3cret in parts']);
            self::fail('a secret with spaces is taken');
        } catch (\InvalidArgumentException $e) {
            self::assertStringNotContainsString('s3cret', $e->getMessage());
        }
    }

    /**
     * @dataProvider nonsense
     *
     * @param array<string, mixed> $options
     */
    public function testRefuses(array $options): void
    {
        $this->expectException(\InvalidArgumentException::class);
        $this->expectExceptionMessage((string) array_key_first($options));
        new Options($options);
    }

    /**
     * @return array<int, array<int, array<string, mixed>>>
     */
    public static function nonsense(): array
    {
        return [
            [['lokcing' => 'none']], [['locking' => 'yes']], [['locking' => true]], [['endpoints' => []]],
            [['namespace' => 'A']], [['namespace' => '']], [['namespace' => '_a']], [['namespace' => "a\n"]],
            [['namespace' => str_repeat('a', 65)]], [['namespace' => 'a/b']], [['timeout_ms' => 0]],
            [['timeout_ms' => '1s']], [['timeout_ms' => -1]], [['timeout_ms' => 1.5]], [['lock_wait_ms' => -1]],
            [['on_failure' => 'ignore']], [['breaker' => 2]],
            [['secret' => "a\nb"]], [['secret' => 'a b']], [['secret' => 7]], [['ca_file' => '/nowhere']],
            [['client_cert' => false]], [['client_key' => __FILE__]], [['strict_mode' => 'maybe']],
        ];
    }
}
