namespace OciRegistry.Tests.Server;

public sealed class ExplainCommandTests : IDisposable
{
    private const string Policies = """
        {
          "OciRegistry": {
            "Auth": {
              "Robots": true,
              "Policies": [
                { "Name": "team", "Subjects": ["user:alice"], "Groups": ["github:devs"], "Repositories": ["team/**"], "Actions": ["pull"] }
              ]
            }
          }
        }
        """;

    private readonly CommandFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("alice team/app pull", 0, "allowed by policy 0 of the settings 'team' (pull in team/**)")]
    [InlineData("user:alice team/app push", 1, "denied: nothing allows it; the rules for user:alice are policy 0 of the settings 'team' ")]
    [InlineData("bob team/app pull", 1, "denied: nothing allows it; no rule names user:bob")]
    [InlineData("github:me team/app pull --group github:devs", 0, "allowed by policy 0 of the settings 'team' ")]
    public async Task It_says_why_and_whether_by_its_exit_code(string question, int code, string reason)
    {
        _folder.Write("appsettings.json", Policies);

        var outcome = await _folder.RunAsync($"explain {question}");

        outcome.Output.ShouldStartWith(reason);
        outcome.Errors.ShouldBeEmpty();
        outcome.Code.ShouldBe(code);
        Directory.Exists(_folder["data"]).ShouldBeFalse();
    }

    [Fact]
    public async Task A_robot_s_own_policy_counts()
    {
        _folder.Write("appsettings.json", Policies);
        (await _folder.RunAsync("robot create ci --repository other --action push")).ShouldBeDone();

        (await _folder.RunAsync("explain robot:ci other push"))
            .ShouldBeDone("allowed by the policy of robot 'ci' (push in other)");
    }

    [Fact]
    public async Task An_open_registry_allows_everything() =>
        (await _folder.RunAsync("explain alice team/app delete"))
            .ShouldBeDone("allowed: the registry is open, nobody has to log in");

    [Theory]
    [InlineData("alice team/app write", 2, "Say what: action is one of pull, push, ")]
    [InlineData("alice TEAM pull", 2, "Say where: repository is a repository's name.")]
    [InlineData("alice team/app pull --OciRegistry:Auth:PolicyFile=none", 1, "'none': It cannot be read: ")]
    public Task A_question_that_is_none_is_answered_with_what_to_ask(string question, int code, string problem) =>
        CommandFolder.ShouldRefuseAsync($"explain {question}", code, problem);
}
