using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class FileSystemDocumentStoreTests : DocumentStoreContract, IDisposable
{
    private readonly FileSystemStorage _storage = new();

    public void Dispose() => _storage.Dispose();

    protected override IDocumentStore OpenStore() => _storage.Documents();

    protected override IEnumerable<string> Leftovers() => _storage.Leftovers();

    [Theory]
    [InlineData("")]
    [InlineData("v1 ")]
    [InlineData("v2 0123456789abcdef0123456789abcdef\n{}")]
    [InlineData("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")]
    public async Task What_a_power_cut_has_left_of_a_document_is_none_and_can_be_written_over(string remains)
    {
        var store = OpenStore();
        var key = new DocumentKey("folder", "name");
        await store.WriteAsync(key, "x"u8.ToArray(), WriteCondition.None, Durability.Atomic, default);
        await File.WriteAllTextAsync(_storage.Root.Document(key), remains);

        (await store.ReadAsync(key, default)).ShouldBeNull();
        (await store.WriteAsync(key, "y"u8.ToArray(), WriteCondition.Absent, Durability.Atomic, default)).ShouldNotBeNull();
    }

    [Fact]
    public async Task A_lock_file_that_somebody_else_holds_fails_the_write_in_the_end()
    {
        var time = new ManualTimeProvider();
        using var storage = new FileSystemStorage(time);
        var store = storage.Documents();
        var key = new DocumentKey("folder", "name");
        await store.WriteAsync(key, "before"u8.ToArray(), WriteCondition.None, Durability.Atomic, default);

        using var held = Posix.OpenReadWrite(Directory.EnumerateFiles(storage.Root.Locks).Single(), create: false)!;
        Posix.TryLock(held).ShouldBeTrue();
        var write = store.WriteAsync(key, "x"u8.ToArray(), WriteCondition.None, Durability.Atomic, default).AsTask();
        while (!write.IsCompleted)
        {
            await Until.TrueAsync(() => time.Waiting > 0 || write.IsCompleted, "the write waits for the lock file");
            time.Advance(TimeSpan.FromMilliseconds(500));
        }

        (await Should.ThrowAsync<StorageException>(write)).IsFull.ShouldBeFalse();
        storage.Leftovers().ShouldBeEmpty();

        Posix.Unlock(held);
        await store.WriteAsync(key, "after"u8.ToArray(), WriteCondition.None, Durability.Atomic, default);
    }

    [Fact]
    public async Task A_lock_file_that_was_replaced_is_opened_again()
    {
        // As after a mount under a running process: a lock on the former file excludes nobody.
        var time = new ManualTimeProvider();
        using var storage = new FileSystemStorage(time);
        var store = storage.Documents();
        var key = new DocumentKey("folder", "name");
        await store.WriteAsync(key, default, WriteCondition.None, Durability.Atomic, default);
        var path = Directory.EnumerateFiles(storage.Root.Locks).ShouldHaveSingleItem();
        File.Delete(path);
        using var held = Posix.OpenReadWrite(path, create: true)!;
        Posix.TryLock(held).ShouldBeTrue();

        var write = store.WriteAsync(key, default, WriteCondition.None, Durability.Atomic, default).AsTask();
        write.IsCompleted.ShouldBeFalse();
        Posix.Unlock(held);
        while (!write.IsCompleted)
        {
            await Until.TrueAsync(() => time.Waiting > 0 || write.IsCompleted, "the write waits for the lock file");
            time.Advance(TimeSpan.FromMilliseconds(10));
        }

        (await write).ShouldNotBeNull();
    }
}
