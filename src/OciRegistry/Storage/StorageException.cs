namespace OciRegistry.Storage;

/// <summary>
/// The store failed or cannot be reached, and whether the call took effect is unknown. Requests answer 503 (507 when it
/// is full) with Retry-After; nothing else is concluded from it.
/// </summary>
public sealed class StorageException : Exception
{
    public StorageException()
    {
    }

    public StorageException(string message)
        : base(message)
    {
    }

    public StorageException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>The store has no room left.</summary>
    public bool IsFull { get; init; }

    /// <summary>
    /// The store refuses access: missing permission, read-only file system, invalid credentials. It does until the operator
    /// changes that, so a retry within the same request is pointless.
    /// </summary>
    public bool IsRefused { get; init; }

    /// <summary>A document is there and cannot be read; the message tells the client how to repair it.</summary>
    public bool IsDamaged { get; init; }
}
