using System.Globalization;
using System.Text.RegularExpressions;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Server;

public sealed partial class RobotCommandTests : IDisposable
{
    private readonly CommandFolder _folder = new();
    private readonly FileSystemStorage _storage = new();
    private readonly RobotAccounts _robots;

    public RobotCommandTests() => _robots = new RobotAccounts(_storage.Documents(), TimeProvider.System);

    private string Root => $"--OciRegistry:Storage:FileSystem:Root={_storage.Root.Root}";

    public void Dispose()
    {
        _storage.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_robot_is_made_and_its_secret_is_shown_once()
    {
        var outcome = await _folder.RunAsync(
            $"robot create ci --repository team/** other --action pull push --expires 2099-01-31 {Root} --OciRegistry:Auth:Robots=true",
            environment: [("TZ", "Asia/Tokyo")]); // a date is UTC's, wherever that is

        outcome.ShouldBeDone();
        outcome.Output.ShouldContain("Login:  robot+ci\n");
        outcome.Output.ShouldContain("  docker login --username robot+ci REGISTRY");
        var secret = Secret().Matches(outcome.Output).ShouldHaveSingleItem().Value;
        var robot = (await _robots.VerifyAsync("ci", secret, CancellationToken.None)).ShouldNotBeNull();
        robot.Repositories.ShouldBe(["team/**", "other"]);
        robot.Actions.ShouldBe(["pull", "push"]);
        robot.Expires.ShouldBe(DateTimeOffset.Parse("2099-01-31T00:00:00Z", CultureInfo.InvariantCulture));
        Directory.EnumerateFileSystemEntries(_folder.Path).ShouldBeEmpty();
    }

    [Fact]
    public async Task Where_robots_cannot_log_in_a_note_says_how_they_can()
    {
        var outcome = await _folder.RunAsync($"robot create ci --repository ** --action pull {Root}");

        outcome.Code.ShouldBe(0);
        outcome.Output.ShouldContain("Login:  robot+ci\n");
        outcome.Errors.ShouldBe(
            "Note: robots cannot log in yet. Set OciRegistry:Auth:Robots=true for the server, and start it again.");
    }

    [Fact]
    public async Task Robots_are_listed_and_revoked()
    {
        var policy = new PolicyOptions { Repositories = ["team/**", "b"], Actions = ["pull", "push"] };
        await _robots.CreateAsync("b", policy, DateTimeOffset.UnixEpoch, "user:lead", CancellationToken.None);
        await _robots.CreateAsync("a", policy, expires: null, createdBy: null, CancellationToken.None);

        var listed = await _folder.RunAsync($"robot list {Root}");
        listed.ShouldBeDone();
        listed.Output.ShouldMatch(@"^a: pull, push in team/\*\*, b; made [0-9T:-]+Z, does not expire\nb: .* by user:lead, expired 1970-01-01T00:00:00Z$");

        (await _folder.RunAsync($"robot revoke a {Root}")).ShouldBeDone("Revoked robot 'a'.");
        (await _robots.FindAsync("a", CancellationToken.None)).ShouldBeNull();
        await CommandFolder.ShouldRefuseAsync(
            $"robot revoke a {Root}", 1, "There is no robot 'a'. 'robot list' shows which there are.");
        await CommandFolder.ShouldRefuseAsync(
            $"robot create b --repository b --action pull {Root}",
            1,
            "There is a robot 'b' already. Revoke it first, or call this one otherwise.");
    }

    [Theory]
    [InlineData("CI --repository a --action pull", "A robot's name is 1 to 64 lower-case letters, ")]
    [InlineData("ci --repository a", "It has no Actions. Say what it allows: pull, ")]
    [InlineData("ci --action pull", "It names no Repositories. Say where it holds; all of them are '**'.")]
    [InlineData("ci --repository A --action pul", "Its action 'pul' is unknown. ")]
    [InlineData("ci --repository A --action pul", "Its repository 'A' can match none. ")]
    [InlineData("ci --repository a --action pull --expires soon", "--expires is 'soon'. Say it after a time, ")]
    [InlineData("ci --repository a --action pull --expires 2020-01-31", "It would have expired already. ")]
    public async Task A_robot_that_cannot_be_is_answered_with_what_to_write_and_the_storage_is_not_touched(
        string arguments, string problem)
    {
        var root = _folder["data"];

        await CommandFolder.ShouldRefuseAsync(
            $"robot create {arguments} --OciRegistry:Storage:FileSystem:Root={root}", 2, problem);

        Directory.Exists(root).ShouldBeFalse();
    }

    [Fact]
    public async Task Settings_and_a_storage_that_a_server_would_not_start_with_are_said()
    {
        (await _folder.RunAsync("robot list --OciRegistry:Storage:FileSystem:Rot=data --OciRegistry:ReadOnly=perhaps"))
            .ShouldBeRefused(1, "OciRegistry:Storage:FileSystem:Rot (command line) is no setting.");
        Directory.EnumerateFileSystemEntries(_folder.Path).ShouldBeEmpty(); // it was not to be in the default folder

        await CommandFolder.ShouldRefuseAsync(
            "robot list --OciRegistry:Storage:FileSystem:Root=/dev/null/data", 1, "The registry cannot store in '/dev/null/data': ");
    }

    [GeneratedRegex("ocirobot_[0-9a-f]{64}")]
    private static partial Regex Secret();
}
