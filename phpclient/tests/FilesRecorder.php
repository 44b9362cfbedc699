<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * PHP's files handler, recorded: the yardstick.
 */
final class FilesRecorder extends FilesHandler
{
    use Recording;
}
