<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use PHPUnit\Framework\TestCase;

/**
 * PHP 7.4 reads an attribute as a comment to the end of the line: whatever else stands there would be lost on it.
 */
final class SyntaxTest extends TestCase
{
    public function testAttributesStandAlone(): void
    {
        $root = dirname(__DIR__);
        $attributes = 0;
        foreach (array_merge(glob("$root/*.php") ?: [], glob("$root/src/*.php") ?: []) as $file) {
            foreach (file($file) ?: [] as $number => $line) {
                if (strpos($line, '#[') !== false) {
                    $attributes++;
                    $where = $file . ':' . ($number + 1);
                    self::assertMatchesRegularExpression('~^\s*#\[[^\]]+\]$~', rtrim($line, "\n"), $where);
                }
            }
        }
        self::assertGreaterThan(10, $attributes);
    }
}
