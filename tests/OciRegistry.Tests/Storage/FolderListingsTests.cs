using OciRegistry.Storage.FileSystem;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Storage;

public sealed class FolderListingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_change_within_the_same_second_is_seen()
    {
        var listings = new FolderListings(TimeProvider.System);
        for (var i = 0; i < Counts.Of(ci: 500, full: 50_000); i++)
        {
            var file = Path.Combine(_folder, $"{i}@");
            File.WriteAllBytes(file, []);
            listings.Read(_folder).ShouldBe([$"{i}"]);
            File.Delete(file);
            listings.Read(_folder).ShouldBeEmpty();
        }
    }

    [Fact]
    public void A_listing_is_kept_once_its_folder_has_settled_and_not_before()
    {
        var time = new ManualTimeProvider();
        var listings = new FolderListings(time);
        File.WriteAllBytes(Path.Combine(_folder, "a@"), []);
        listings.Read(_folder).ShouldNotBeSameAs(listings.Read(_folder));

        time.Advance(TimeSpan.FromSeconds(5));
        var kept = listings.Read(_folder);
        listings.Read(_folder).ShouldBeSameAs(kept);
    }

    [Fact]
    public void Whole_second_times_settle_after_two_seconds()
    {
        // What a file system with whole-second times says of a change 1.005 s ago: a change in this moment says the same.
        var now = new DateTimeOffset(2026, 1, 1, 0, 0, 1, TimeSpan.Zero).AddMilliseconds(5);
        StatusAt(now.AddMilliseconds(-1_005)).HasSettled(now).ShouldBeFalse();
        StatusAt(now.AddMilliseconds(-2_005)).HasSettled(now).ShouldBeTrue();
        StatusAt(now.AddMilliseconds(-1_004)).HasSettled(now).ShouldBeTrue();
        StatusAt(now.AddMilliseconds(-1_000)).HasSettled(now).ShouldBeFalse();

        static FileStatus StatusAt(DateTimeOffset at) => new(default, 0, at.UtcTicks, at.UtcTicks);
    }

    [Fact]
    public void The_time_is_taken_before_the_folder_is_read()
    {
        // Reading a large folder takes a while: times that settle only meanwhile do not tell a change in between.
        var time = new ClockWithEffect(() => File.WriteAllBytes(Path.Combine(_folder, "a@"), []));
        new FolderListings(time).Read(_folder).ShouldBe(["a"]);
    }

    [Fact]
    public void A_fresh_listing_is_not_the_one_that_was_kept()
    {
        var time = new ManualTimeProvider();
        time.Advance(TimeSpan.FromSeconds(5));
        var listings = new FolderListings(time);
        File.WriteAllBytes(Path.Combine(_folder, "a@"), []);
        var kept = listings.Read(_folder);
        listings.Read(_folder).ShouldBeSameAs(kept);
        listings.Read(_folder, isFresh: true).ShouldNotBeSameAs(kept);
        listings.Read(_folder, isFresh: true).ShouldBe(["a"]);
    }

    [Fact]
    public void Empty_folders_count_as_kept_too()
    {
        var time = new ManualTimeProvider();
        time.Advance(TimeSpan.FromSeconds(5));
        var listings = new FolderListings(time, maxNames: 10);
        var first = Directory.CreateDirectory(Path.Combine(_folder, "first")).FullName;
        File.WriteAllBytes(Path.Combine(first, "a@"), []);
        var kept = listings.Read(first);
        listings.Read(first).ShouldBeSameAs(kept);
        for (var i = 0; i < 20; i++)
        {
            listings.Read(Directory.CreateDirectory(Path.Combine(_folder, $"{i}")).FullName);
        }

        listings.Read(first).ShouldNotBeSameAs(kept);
    }

    [Theory]
    [InlineData("._t1@")]
    [InlineData(".nfs000000000001@")]
    [InlineData(".nfs000000000001")]
    [InlineData(".t1@.swp")]
    [InlineData(".t1@.Ab3dE5")]
    [InlineData("t1@~")]
    [InlineData("t1 (copy)@")]
    [InlineData("t1%2@")]
    [InlineData("t1%2f@")]
    [InlineData("t1")]
    public void Files_of_other_programs_are_no_documents(string file)
    {
        File.WriteAllBytes(Path.Combine(_folder, file), []);
        new FolderListings(TimeProvider.System).Read(_folder).ShouldBeEmpty();
        FolderListings.Any(_folder).ShouldBeFalse();
    }

    private sealed class ClockWithEffect(Action effect) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow()
        {
            effect();
            return base.GetUtcNow();
        }
    }
}
