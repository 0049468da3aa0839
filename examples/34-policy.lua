-- 34-policy.lua -- learning by trial: a pole is balanced on a cart.
-- ids: M19
-- takes: 2 s
-- expect: 180 200
-- expect: 15 35
--
-- What is asked.  A pole stands on a cart; at every step the cart is pushed to the left or to
-- the right.  Nobody says which is right: a point is paid for every step until the pole falls
-- or the cart leaves its track.  The policy gradient (Williams 1992, REINFORCE) makes those
-- pushes more likely after which more points came than expected, and the others less.
--
-- What is seen.  Pushed at random the pole stands for 23 steps, after 1,200 runs for 195 to
-- 200 of 200.

local mare = require "mare"
local lesson = dofile((arg[0]:match "^(.*)/" or ".") .. "/lesson.lua")
local nn, plot = mare.nn, mare.plot
local args = lesson.options("34-policy.lua", "Policy gradient on a pole balanced on a cart.",
  { updates = { 60, "updates of the policy" }, runs = { 20, "runs for an update" },
    steps = { 200, "steps of the longest run" } })
mare.seed(args.seed)

-- -- the world: all runs at once ------------------------------------------------------------

-- States (n, 4): place, speed, angle, turning speed; after Barto, Sutton and Anderson 1983.
local function begin(n) return (mare.rand(n, 4) - 0.5) * 0.1 end

local dt, gravity, force, half, pole_mass, mass = 0.02, 9.8, 10, 0.5, 0.1, 1.1
local function move(s, right) -- right (n): 1 or 0
  local place, speed = s:select(2, 1), s:select(2, 2)
  local angle, turn = s:select(2, 3), s:select(2, 4)
  local sin, cos = angle:sin(), angle:cos()
  local push = ((right * 2 - 1) * force + pole_mass * half * turn * turn * sin) / mass
  local turning = (gravity * sin - cos * push) /
    (half * (4 / 3 - pole_mass * cos * cos / mass))
  local pull = push - pole_mass * half * turning * cos / mass
  return mare.stack({ place + dt * speed, speed + dt * pull, angle + dt * turn,
    turn + dt * turning }, 2)
end
local limits = mare.tensor { 2.4, 1e9, 12 * math.pi / 180, 1e9 }

-- -- the policy -----------------------------------------------------------------------------

-- The logit of a push to the right, and what the points to come are expected to be.
local policy = nn.Sequential { nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1) }
local critic = nn.Sequential { nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1) }
-- The four numbers of a state in units of a similar size.
local scale = mare.tensor { 1, 1, 0.1, 1 }

-- n runs: states (t, n, 4), pushes (t, n), still standing before each push (t, n), and the
-- mean number of steps.
local function play(n, choose)
  return mare.no_grad(function()
    local s, standing = begin(n), mare.ones(n)
    local states, pushes, alive = {}, {}, {}
    for t = 1, args.steps do
      local right = choose(s / scale)
      states[t], pushes[t], alive[t] = s / scale, right, standing
      s = move(s, right)
      standing = standing * s:abs():lt(limits):all(2):to "f32"
      if standing:sum():item() == 0 then break end
    end
    alive = mare.stack(alive, 1)
    return mare.stack(states, 1), mare.stack(pushes, 1), alive, alive:sum():item() / n
  end)
end
local function draw(s)
  return mare.rand(s:size(1)):lt(policy(s):squeeze(2):sigmoid()):to "f32"
end
local function best(s) return policy(s):squeeze(2):gt(0):to "f32" end

-- The points still to come at each step, those far ahead counting less.
local discount = 0.98
local function returns(alive)
  local after, out = mare.zeros(alive:size(2)), {}
  for t = alive:size(1), 1, -1 do
    after = alive[t] + discount * after
    out[t] = after
  end
  return mare.stack(out, 1)
end

lesson.title "before learning"
local function report(name, choose)
  local _, _, _, mean = play(200, choose)
  print(("%-28s stands %.1f steps of %d on average"):format(name, mean, args.steps))
  return mean
end
local before = report("pushes drawn at random", draw)

local policy_opt = mare.optim.adam(policy:parameters(), { lr = 0.02 })
local critic_opt = mare.optim.adam(critic:parameters(), { lr = 0.02 })
local path = {}
for update = 1, args.updates do
  local _ <close> = mare.scope()
  local states, pushes, alive, mean = play(args.runs, draw)
  path[update] = mean
  local flat, weight = states:reshape(-1, 4), alive:reshape(-1)
  local target, steps = returns(alive):reshape(-1), alive:sum()

  -- The baseline: what was to be expected from a state does not count as a merit.
  local expected = critic(flat):squeeze(2) * 20
  critic_opt:zero_grad();
  ((expected - target):square() * weight / steps / 400):sum():backward()
  critic_opt:step()

  local merit = target - expected:detach()
  merit = merit / (((merit * merit * weight):sum() / steps):sqrt() + 1e-6)
  -- bce_logits is minus the log probability of the push that was made
  local surprise = mare.bce_logits(policy(flat):squeeze(2), pushes:reshape(-1))
  policy_opt:zero_grad();
  (surprise * merit * weight / steps):sum():backward()
  policy_opt:step()
  if update % 10 == 0 then
    print(("after %3d updates a run lasts %.1f steps"):format(update, mean))
  end
end

lesson.title "after learning"
report("pushes drawn from the policy", draw)
local after = report("the likelier push", best)
print(("Learning took %d runs; a run that stands became %.0f times as long."):format(
  args.updates * args.runs, after / before))

-- One run: the angle of the pole with the policy.
local states = play(1, best)
local angle = states:select(3, 3):reshape(-1) * (0.1 * 180 / math.pi)
lesson.picture(plot.grid({
  plot.line(path, { marks = true, title = "learning", xlabel = "update",
    ylabel = "steps of a run" }),
  plot.line(mare.arange(1, #angle, "f32") * dt, angle, { title = "one run after learning",
    xlabel = "seconds", ylabel = "angle of the pole in degrees" }),
}, { columns = 2 }), "34-policy", { width = 1000, height = 420 })
lesson.key("steps of a run after learning", after)
lesson.key("steps before learning", before)
