using System.Text;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class DocumentCacheTests : IDisposable
{
    private static readonly DocumentKey Key = new("folder", "name");

    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_document_is_kept_once_its_file_has_settled_and_not_before()
    {
        var time = new ManualTimeProvider();
        var cache = new DocumentCache(time);
        Keep(cache, "a").ShouldBeNull();
        time.Advance(TimeSpan.FromSeconds(5));
        Keep(cache, "a").ShouldNotBeNull();
    }

    [Fact]
    public void A_file_that_was_replaced_or_deleted_is_not_the_one_that_was_kept()
    {
        var time = new ManualTimeProvider();
        time.Advance(TimeSpan.FromSeconds(5));
        var cache = new DocumentCache(time);
        Keep(cache, "a").ShouldNotBeNull();
        var path = Path.Combine(_folder, "a");
        File.WriteAllText(path + ".new", "a");
        File.Move(path + ".new", path, overwrite: true);
        cache.Find(path).ShouldBeNull();

        Keep(cache, "a").ShouldNotBeNull();
        File.Delete(path);
        cache.Find(path).ShouldBeNull();
    }

    [Fact]
    public void Documents_that_nobody_asks_for_make_room()
    {
        var time = new ManualTimeProvider();
        time.Advance(TimeSpan.FromSeconds(5));
        var cache = new DocumentCache(time, maxBytes: 100_000);
        Keep(cache, "used");
        Keep(cache, "unused");
        for (var i = 0; i < 1_000; i++)
        {
            Keep(cache, $"{i}");
            cache.Find(Path.Combine(_folder, "used")).ShouldNotBeNull();
        }

        cache.Find(Path.Combine(_folder, "unused")).ShouldBeNull();
    }

    [Fact]
    public async Task A_store_sees_each_write_of_another_at_once()
    {
        var time = new ManualTimeProvider();
        using var storage = new FileSystemStorage(time);
        time.Advance(TimeSpan.FromSeconds(5)); // so that each is kept
        var (one, another) = (storage.Documents(), storage.Documents());
        for (var i = 0; i < Counts.Of(ci: 300, full: 20_000); i++)
        {
            var content = Encoding.ASCII.GetBytes($"{i % 10}"); // of one length, in files that take each other's place
            await another.WriteAsync(Key, content, WriteCondition.None, Durability.Atomic, default);
            (await one.ReadAsync(Key, default))!.Content.ToArray().ShouldBe(content);
            (await one.ReadAsync(Key, default))!.Content.ToArray().ShouldBe(content);
        }
    }

    private Document? Keep(DocumentCache cache, string name)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllText(path, "a");
        cache.Keep(path, Posix.Stat(path)!.Value, new Document("a"u8.ToArray(), "version"));
        return cache.Find(path);
    }
}
